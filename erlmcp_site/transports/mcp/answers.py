"""Answers to what is posted to `/mcp`: one JSON-RPC message, or HTTP's own words."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS
from mcp_types import ErrorData, RequestId

from audit_app.errors import Refusal
from erlmcp_site.transports.http.answers import NO_STORE, Answer, Header, problem_answer
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.mcp.authorization import challenge

OURS: Final = "io.erlmcp/"
"""The prefix of what `_meta` has beside what MCP puts there."""

SSE_HEADERS: Final[tuple[Header, ...]] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)


def place_of(version: int, offset: int) -> dict[str, int]:
    """What `_meta` tells of a resource, or of its change: which version that is, and where in the log."""
    return {f"{OURS}version": version, f"{OURS}offset": offset}


def result_message(id: RequestId, result: Mapping[str, Any] | bytes) -> bytes:
    """A JSON-RPC response with a result, which may be JSON already."""
    told = orjson.Fragment(result) if isinstance(result, bytes) else result
    return orjson.dumps({"jsonrpc": "2.0", "id": id, "result": told})


def error_message(id: RequestId | None, error: ErrorData) -> bytes:
    """A JSON-RPC response with an error; the id is null where none could be read."""
    said: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        said["data"] = error.data
    return orjson.dumps({"jsonrpc": "2.0", "id": id, "error": said}, default=str)


def notification_message(method: str, params: Mapping[str, Any]) -> bytes:
    """A JSON-RPC notification."""
    return orjson.dumps({"jsonrpc": "2.0", "method": method, "params": params})


def frame(message: bytes, id: str = "") -> bytes:
    """A message as one server-sent event; JSON has no line breaks."""
    head = f"id: {id}\n".encode() if id else b""
    return b"%bevent: message\ndata: %b\n\n" % (head, message)


def message_answer(message: bytes, status: int = 200, headers: Sequence[Header] = ()) -> Answer:
    """A message as the whole answer."""
    return Answer(status, [*headers, NO_STORE], message)


def error_answer(
    id: RequestId | None, error: ErrorData, headers: Sequence[Header] = (), status: int | None = None
) -> Answer:
    """An error as the whole answer, with the status that its code has unless told otherwise."""
    if status is None:
        status = ERROR_CODE_HTTP_STATUS.get(error.code, 200)
    return message_answer(error_message(id, error), status, headers)


def accepted(headers: Sequence[Header] = ()) -> Answer:
    """The answer to what needs none."""
    return Answer(202, [*headers, NO_STORE], media_type=None)


def turned(refusal: Refusal, incoming: Incoming, headers: Sequence[Header] = ()) -> Answer:
    """The answer of HTTP to whoever has no token that is good for this."""
    return challenge(problem_answer(refusal, incoming, headers=headers), refusal, incoming)
