"""A request of a session under way, and the answer to its POST."""

from collections.abc import Mapping
from typing import Any, Final

from mcp_types import ErrorData

from erlmcp_site.transports.http.answers import Answer, Receive, Send
from erlmcp_site.transports.http.incoming import Incoming, Scope
from erlmcp_site.transports.mcp import kernel
from erlmcp_site.transports.mcp.answers import accepted, error_message, message_answer, result_message, turned
from erlmcp_site.transports.mcp.exchange import Exchange, Turned
from erlmcp_site.transports.mcp.legacy.handshakes import Speaker
from erlmcp_site.transports.mcp.legacy.posted import Posted
from erlmcp_site.transports.mcp.legacy.running import Cancelled, running
from erlmcp_site.transports.mcp.legacy.told import ToldStream
from erlmcp_site.transports.mcp.outcomes import told_of
from erlmcp_site.transports.mcp.reads import is_plain_in_session, read, result_in_session_of

DEFAULT_LEVEL: Final = "info"
"""The lowest of which clients are told that have not said what they want to hear."""

TURNED: Final = -32001
"""The code of what HTTP would have answered, had the stream not begun."""


def exchange_of(incoming: Incoming, speaker: Speaker, message: Posted | None = None) -> Exchange:
    """The exchange of a message in a session, or of a request that has none."""
    handshake = speaker.handshake
    params = None if message is None else message.params
    meta = (params or {}).get("_meta")
    return Exchange(
        incoming=incoming,
        id=0 if message is None or message.id is None else message.id,
        version=handshake.version,
        method=incoming.method if message is None or message.method is None else message.method,
        session_id=handshake.session_id,
        client=handshake.name,
        client_info=handshake.client,
        params=params,
        capabilities=handshake.capabilities,
        meta=meta if isinstance(meta, dict) else {},
        log_level=handshake.log_level or DEFAULT_LEVEL,
    )


async def serve_alone(exchange: Exchange, speaker: Speaker) -> bytes | None:
    """The message that answers a request; None when its client has had it cancelled. Raises Turned."""
    try:
        with running.under_way((speaker.session.id, exchange.id)):
            result = await _result(exchange, speaker)
    except Cancelled:
        return None
    except Turned:
        raise
    except Exception as error:
        return error_message(exchange.id, await told_of(exchange, error))
    return result_message(exchange.id, result)


async def _result(exchange: Exchange, speaker: Speaker) -> Mapping[str, Any] | bytes:
    if is_plain_in_session(exchange):
        return result_in_session_of(await read(exchange, str((exchange.params or {})["uri"])))
    return await kernel.serve_peer(exchange, exchange.params, speaker.handshake.peer)


class Served:
    """Runs an exchange and answers its POST: with one JSON message, or once something is told before it, a stream."""

    def __init__(self, exchange: Exchange, speaker: Speaker) -> None:
        self._exchange = exchange
        self._speaker = speaker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange, key = self._exchange, (self._speaker.session.id, self._exchange.id)
        channel = exchange.channel = ToldStream(exchange, self._speaker, send, lambda: running.cancel(key))
        try:
            answer = await self._answer(channel)
            if answer is not None:
                await answer(scope, receive, send)
        finally:
            channel.leave()

    async def _answer(self, channel: ToldStream) -> Answer | None:
        """What to answer when nothing was told before; None when the stream has had the answer."""
        exchange = self._exchange
        try:
            message = await serve_alone(exchange, self._speaker)
        except Turned as turned_away:
            if not channel.is_open:
                return turned(turned_away.refusal, exchange.incoming, turned_away.headers)
            message = error_message(exchange.id, ErrorData(code=TURNED, message=turned_away.refusal.message))
        if channel.is_open:
            await (channel.end() if message is None else channel.say(message, is_last=True))
            return None
        return accepted(exchange.headers) if message is None else message_answer(message, headers=exchange.headers)
