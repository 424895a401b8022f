"""What is asked of `/mcp` in the era of sessions, by the verb of HTTP."""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from mcp_types import INVALID_REQUEST, ErrorData, RequestId

from audit_app.breaker import PartAway
from erlmcp_site.pipeline.errors import InvalidRequest, MethodNotAllowed, NotAcceptable
from erlmcp_site.transports.http.answers import NO_STORE, Answer, Application, problem_answer
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.mcp.answers import accepted, error_answer, message_answer, turned
from erlmcp_site.transports.mcp.exchange import Turned
from erlmcp_site.transports.mcp.kernel import MCPError
from erlmcp_site.transports.mcp.legacy.asked import asked
from erlmcp_site.transports.mcp.legacy.beginnings import begin, ready
from erlmcp_site.transports.mcp.legacy.got import open_stream
from erlmcp_site.transports.mcp.legacy.handshakes import NoSession, Speaker, handshakes
from erlmcp_site.transports.mcp.legacy.letters import cancelled_box
from erlmcp_site.transports.mcp.legacy.posted import Posted, read_batch, read_one
from erlmcp_site.transports.mcp.legacy.running import running
from erlmcp_site.transports.mcp.legacy.served import Served, exchange_of, serve_alone
from erlmcp_site.transports.mcp.legacy.subscribed import awake
from erlmcp_site.transports.mcp.outcomes import Rejected, parsed, reject, told_of
from sessions_app.callers import Caller
from sessions_app.errors import SessionNotFound
from sessions_app.limits import count_caller
from sessions_app.mail.boxes import mailboxes
from sessions_app.states import State

NOT_FOUND: Final = -32001
"""What clients know a session by that is not there, besides the status 404."""


async def answer(incoming: Incoming, caller: Caller) -> Application:
    """The answer to a request of a caller. Raises Refusal."""
    verb = VERBS.get(incoming.method)
    if verb is None:
        raise MethodNotAllowed()
    try:
        return await verb(incoming, caller)
    except Rejected as rejected:
        return await reject(incoming, rejected)
    except Turned as turned_away:
        return turned(turned_away.refusal, incoming, turned_away.headers)


async def post(incoming: Incoming, caller: Caller) -> Application:
    """Messages of a client. Raises Rejected, Turned, Refusal."""
    body = parsed(incoming)
    if isinstance(body, list):
        speaker = await speaker_of(incoming, caller, None)
        return await _batch(incoming, speaker, read_batch(body, speaker.handshake.version))
    message = read_one(body)
    if message.method == "initialize" and message.is_request:
        return await begin(incoming, message)
    speaker = await speaker_of(incoming, caller, message.id if message.is_request else None)
    awake.note(speaker.session.id)
    if message.is_request:
        return Served(exchange_of(incoming, speaker, message), speaker)
    return await _heard(incoming, speaker, message)


async def get(incoming: Incoming, caller: Caller) -> Application:
    """A stream of what the server has to say by itself. Raises Rejected, Turned, Refusal."""
    accepted_types = incoming.headers.get("accept", "")
    if not any(one in accepted_types for one in ("text/event-stream", "text/*", "*/*")):
        raise NotAcceptable("The client has to accept text/event-stream.")
    return await open_stream(incoming, await speaker_of(incoming, caller, None))


async def delete(incoming: Incoming, caller: Caller) -> Answer:
    """The end of a session. Raises Rejected, Turned, Refusal."""
    speaker = await speaker_of(incoming, caller, None)
    exchange = exchange_of(incoming, speaker)
    try:
        if speaker.session.state is State.INITIALIZING:
            # nothing ends that has not begun
            await ready(exchange, speaker.handshake)
        reply = await exchange.reply("sessions/close", {"session": speaker.session.id})
    except MCPError as error:
        return error_answer(None, await told_of(exchange, error), exchange.headers, 409)
    if reply.refusal is not None:
        return problem_answer(reply.refusal, incoming, headers=exchange.headers)
    with contextlib.suppress(PartAway):
        await mailboxes.drop(speaker.session.id)
    return Answer(200, [*exchange.headers, NO_STORE], media_type=None)


async def speaker_of(incoming: Incoming, caller: Caller, id: RequestId | None) -> Speaker:
    """Who speaks, and in which session. Raises Rejected, Refusal."""
    try:
        return await handshakes.speaker(incoming, caller)
    except NoSession:
        message = "Bad Request: Missing session ID"
        error = ErrorData(code=INVALID_REQUEST, message=message)
        raise Rejected(InvalidRequest(message), error, id, status=400) from None
    except SessionNotFound as refusal:
        raise Rejected(refusal, ErrorData(code=NOT_FOUND, message="Session not found"), id, status=404) from None


async def _heard(incoming: Incoming, speaker: Speaker, message: Posted) -> Application:
    """The answer to what asks for nothing. Raises Turned, Refusal."""
    exchange = exchange_of(incoming, speaker, message)
    if message.method == "notifications/initialized":
        try:
            await ready(exchange, speaker.handshake)
        except MCPError as error:
            return error_answer(None, await told_of(exchange, error), exchange.headers, 400)
        return accepted(exchange.headers)
    await count_caller(speaker.caller.user_id)
    if message.method == "notifications/cancelled":
        await _cancel(speaker.session.id, (message.params or {}).get("requestId"))
    elif message.method is None:
        assert message.id is not None
        await asked.take(speaker.session.id, message.id, message.body)
    return accepted()


async def _cancel(session_id: str, id: object) -> None:
    """Cancel a request, on whichever node it is under way. Raises PartAway."""
    if isinstance(id, str | int) and not isinstance(id, bool) and not running.cancel((session_id, id)):
        await mailboxes.post(session_id, cancelled_box(id), b"")


async def _batch(incoming: Incoming, speaker: Speaker, messages: list[Posted]) -> Application:
    """The answer to several messages, which are done one after the other. Raises Turned, Refusal."""
    answers, headers = [], []
    for message in messages:
        if message.is_request:
            exchange = exchange_of(incoming, speaker, message)
            told = await serve_alone(exchange, speaker)
            headers = exchange.headers
            if told is not None:
                answers.append(told)
        else:
            await _heard(incoming, speaker, message)
    return message_answer(b"[%b]" % b",".join(answers), headers=headers) if answers else accepted(headers)


VERBS: Final[Mapping[str, Callable[[Incoming, Caller], Awaitable[Application]]]] = {
    "POST": post,
    "GET": get,
    "DELETE": delete,
}
