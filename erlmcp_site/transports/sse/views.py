"""The address of the event stream (contract §2, §4).

A browser's EventSource sends no headers, and tokens are never taken from a query: browsers use fetch, and read the
body as it comes.
"""

from typing import Any

from erlmcp_site.methods.catalogue import pipeline
from erlmcp_site.pipeline.messages import Request
from erlmcp_site.transports.http.answers import Answer, Application, position_headers, problem_answer
from erlmcp_site.transports.http.api import ApiView, Handler
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.sse.frames import bookmark_frame, reset_frame
from erlmcp_site.transports.sse.stream import STREAM_HEADERS, EventStream
from erlmcp_site.transports.sse.streams import streams
from sessions_app.authentication import authenticate
from sessions_app.sessions import session_for, touch

FIELDS = ("subscription", "uri", "from", "after")
OPTIONS = ("batch_size", "throttle_ms", "delta", "include_content")


class StreamView(ApiView):
    """The events of a subscription, or of a URI or pattern, as they come."""

    def get(self, incoming: Incoming) -> dict[str, Any]:
        """What to follow. Last-Event-ID wins over `after` and `from`."""
        query = incoming.query
        params: dict[str, Any] = {name: query[name] for name in FIELDS if name in query}
        if "events" in query:
            params["events"] = query["events"].split(",")
        options = {name: query[name] for name in OPTIONS if name in query}
        if options:
            params["options"] = options
        last = incoming.headers.get("last-event-id")
        if last:
            params["after"] = last
        return params

    async def serve(self, incoming: Incoming, handler: Handler, path: dict[str, str]) -> Application:
        stream = EventStream()
        params = handler(incoming)
        request = incoming.request("events/stream", params, "sse", stream)
        try:
            reply = await pipeline.run(request)
            if reply.refusal is not None:
                if reply.refusal.code == "reset":
                    return _reset(incoming, reply.refusal.data, params, reply.offset)
                return problem_answer(reply.refusal, incoming, offset=reply.offset)
            await _keep(stream, request, reply.session_id)
        except BaseException:
            stream.leave()
            raise
        stream.headers += position_headers(reply.request_id, reply.offset)
        stream.opening += bookmark_frame(reply.result["subscription"], reply.result["offset"])
        stream.on_open = reply.then
        return stream


async def _keep(stream: EventStream, request: Request, session_id: str | None) -> None:
    """Have the stream end with its session, its token, or a change of its user, and keep the session awake."""
    caller = await authenticate(request.credentials)
    session = await session_for(caller, session_id, request.client_id)
    stream.expires_at = caller.expires_at
    stream.on_ping = lambda: touch(session)
    stream.headers = [(b"session-id", session.id.encode())]
    streams.add(stream, session=session.id, family=caller.family, user=caller.user_id)


def _reset(incoming: Incoming, data: dict[str, Any], params: dict[str, Any], offset: int) -> Answer:
    frame = reset_frame(params.get("subscription", ""), data.get("earliest"), data.get("head"))
    content_type, *others = STREAM_HEADERS
    headers = [*others, *position_headers(incoming.id, offset)]
    return Answer(200, headers, frame, content_type[1])
