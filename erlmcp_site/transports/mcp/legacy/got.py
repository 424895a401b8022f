"""What clients of this era GET: the rest of an answer, or what the server has to say by itself (R5)."""

from erlmcp_site.transports.http.answers import Application, problem_answer
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.mcp.legacy.handshakes import Speaker
from erlmcp_site.transports.mcp.legacy.letters import read_event_id
from erlmcp_site.transports.mcp.legacy.resumed import ResumedStream
from erlmcp_site.transports.mcp.legacy.served import exchange_of
from erlmcp_site.transports.mcp.legacy.standing import StandingStream, offset_of
from erlmcp_site.transports.streams import streams

LAST: str = "last-event-id"


async def open_stream(incoming: Incoming, speaker: Speaker) -> Application:
    """The stream that a client wants, or why it gets none. Raises Turned, Refusal."""
    exchange = exchange_of(incoming, speaker)
    last = incoming.headers.get(LAST, "")
    place = read_event_id(last)
    stream = (
        StandingStream(exchange, speaker, offset_of(last))
        if place is None
        else ResumedStream(exchange, speaker.session.id, place)
    )
    try:
        request, reply = await stream.admit()
        exchange.heard(reply)
        if reply.refusal is not None:
            stream.leave()
            return problem_answer(reply.refusal, incoming, headers=exchange.headers)
        await streams.keep(stream, request, reply.session_id)
    except BaseException:
        stream.leave()
        raise
    stream.headers += exchange.headers
    return stream
