"""A request of a session under way, and the answer to its POST."""

from erlmcp_site.transports.http.answers import Receive, Send
from erlmcp_site.transports.http.incoming import Incoming, Scope
from erlmcp_site.transports.mcp import kernel
from erlmcp_site.transports.mcp.answers import accepted, error_message, message_answer, result_message, turned
from erlmcp_site.transports.mcp.exchange import Exchange, Turned
from erlmcp_site.transports.mcp.legacy.handshakes import Speaker
from erlmcp_site.transports.mcp.legacy.posted import Posted
from erlmcp_site.transports.mcp.legacy.running import Cancelled, running
from erlmcp_site.transports.mcp.outcomes import told_of


def exchange_of(incoming: Incoming, speaker: Speaker, message: Posted | None = None) -> Exchange:
    """The exchange of a message in a session, or of a request that has none."""
    handshake = speaker.handshake
    params = None if message is None else message.params
    meta = (params or {}).get("_meta")
    return Exchange(
        incoming=incoming,
        id=0 if message is None or message.id is None else message.id,
        version=handshake.version,
        method="" if message is None or message.method is None else message.method,
        session_id=handshake.session_id,
        client=handshake.name,
        client_info=handshake.client,
        params=params,
        capabilities=handshake.capabilities,
        meta=meta if isinstance(meta, dict) else {},
    )


async def serve_alone(exchange: Exchange, speaker: Speaker) -> bytes | None:
    """The message that answers a request; None when its client has had it cancelled. Raises Turned."""
    try:
        with running.under_way((speaker.session.id, exchange.id)):
            result = await kernel.serve_peer(exchange, exchange.params, speaker.handshake.peer)
    except Cancelled:
        return None
    except Turned:
        raise
    except Exception as error:
        return error_message(exchange.id, await told_of(exchange, error))
    return result_message(exchange.id, result)


class Served:
    """Runs an exchange and answers its POST with one JSON message."""

    def __init__(self, exchange: Exchange, speaker: Speaker) -> None:
        self._exchange = exchange
        self._speaker = speaker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = self._exchange
        try:
            message = await serve_alone(exchange, self._speaker)
        except Turned as turned_away:
            answer = turned(turned_away.refusal, exchange.incoming, turned_away.headers)
        else:
            headers = exchange.headers
            answer = accepted(headers) if message is None else message_answer(message, headers=headers)
        await answer(scope, receive, send)
