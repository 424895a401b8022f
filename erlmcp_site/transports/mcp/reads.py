"""Reads, by far the most frequent request: answered of the bytes that the cache keeps, without the SDK's machinery.

The kernel takes 70 µs for what its checks have said before of the same envelope (docs/mcp.md has the figures).
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    SERVER_INFO_META_KEY,
)

from erlmcp_site.pipeline.messages import Reply
from erlmcp_site.transports.mcp.answers import OURS, place_of
from erlmcp_site.transports.mcp.exchange import Exchange
from erlmcp_site.transports.mcp.kernel import server
from sessions_app.caches import Memory

READ: Final = "resources/read"
FORM: Final = "mcp"

PLAIN: Final = frozenset({"uri", "_meta"})
SAID_BY_ALL: Final = frozenset({PROTOCOL_VERSION_META_KEY, CLIENT_CAPABILITIES_META_KEY, CLIENT_INFO_META_KEY})
MAX_ENVELOPES, ENVELOPE_BYTES = 4096, 2048

_HEAD: Final = b'{"resultType":"complete","ttlMs":0,"cacheScope":"private","contents":['
_TAIL: Final = b'],"_meta":' + orjson.dumps({SERVER_INFO_META_KEY: server.server_info_stamp}) + b"}"


class Envelopes:
    """Envelopes (`_meta`) of requests that the kernel has found good: it finds them good again."""

    def __init__(self) -> None:
        self._good: Memory[bytes, bool] = Memory(MAX_ENVELOPES)

    def note(self, exchange: Exchange) -> None:
        """The kernel has taken this one, which is kept if it is short and says nothing beyond what all say."""
        envelope = orjson.dumps(exchange.meta)
        if len(envelope) <= ENVELOPE_BYTES and exchange.meta.keys() <= SAID_BY_ALL:
            self._good.put(envelope, True)

    def knows(self, exchange: Exchange) -> bool:
        """Whether it was found good before."""
        return self._good.get(orjson.dumps(exchange.meta)) is not None


envelopes = Envelopes()


def is_plain(exchange: Exchange) -> bool:
    """Whether a request of the modern era asks for a resource and says nothing that the kernel has to look at."""
    if exchange.method != READ:
        return False
    params = exchange.params
    return (
        params is not None and params.keys() == PLAIN and isinstance(params["uri"], str) and envelopes.knows(exchange)
    )


def is_plain_in_session(exchange: Exchange) -> bool:
    """The same for the era of sessions, where a request needs no envelope."""
    params = exchange.params
    return (
        exchange.method == READ
        and params is not None
        and params.keys() <= PLAIN
        and isinstance(params.get("uri"), str)
        and not params.get("_meta")
    )


async def read(exchange: Exchange, uri: str) -> bytes:
    """The contents of a resource as a member of `contents`. Raises what the exchange does.

    `_meta` may say how consistent the read has to be, and after which offset: whoever was told of a change that a
    notification names reads at least that, whichever node it asks.
    """
    meta = exchange.meta
    said = {name: meta[OURS + name] for name in ("consistency", "after") if OURS + name in meta}
    reply = await exchange.reply(READ, {"uri": uri, **said})
    if reply.refusal is not None:
        raise exchange.error(reply.refusal)
    return contents_of(reply)


def result_of(contents: bytes) -> bytes:
    """The whole result of a read, as the modern era has it."""
    return _HEAD + contents + _TAIL


def result_in_session_of(contents: bytes) -> bytes:
    """The whole result of a read, as the era of sessions has it."""
    return b'{"contents":[%b]}' % contents


def contents_of(reply: Reply) -> bytes:
    """The contents in a reply to a read; made once for each version of a resource, as long as the cache keeps it."""
    forms = reply.forms
    made = None if forms is None else forms.get(FORM)
    if made is None:
        made = orjson.dumps(_contents(orjson.loads(orjson.dumps(reply.result))))
        if forms is not None:
            forms[FORM] = made
    return made


def _contents(resource: Mapping[str, Any]) -> dict[str, Any]:
    place = place_of(resource["version"], resource["offset"])
    contents: dict[str, Any] = {"uri": resource["uri"], "mimeType": resource["mime_type"], "_meta": place}
    if "blob" in resource:
        contents["blob"] = resource["blob"]
    elif "text" in resource:
        contents["text"] = resource["text"]
    else:
        contents["text"] = orjson.dumps(resource.get("content")).decode()
    return contents
