"""The address of the event stream (contract §2, §4).

A browser's EventSource sends no headers, and tokens are never taken from a query: browsers use fetch, and read the
body as it comes.
"""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers

from audit_app.errors import Refusal
from erlmcp_site.pipeline.messages import Reply
from erlmcp_site.transports.http.answers import (
    Answer,
    Application,
    position_headers,
    problem_answer,
    quota_headers,
    trace_headers,
)
from erlmcp_site.transports.http.api import ApiView, Handler
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.http.openapi import documented, header
from erlmcp_site.transports.sse.frames import bookmark_frame, reset_frame
from erlmcp_site.transports.sse.stream import EVENT_STREAM, STREAM_HEADERS, EventStream
from erlmcp_site.transports.streams import admitted, streams
from resources_app.serializers import FollowParams

FIELDS = ("subscription", "uri", "from", "after")
OPTIONS = ("batch_size", "throttle_ms", "delta", "include_content")


class StreamQuery(FollowParams):
    """What to follow: `uri` or `subscription`."""

    events = serializers.CharField(required=False)  # type: ignore[assignment]
    options = None  # type: ignore[assignment]
    batch_size = serializers.IntegerField(min_value=1, max_value=1000, required=False)
    throttle_ms = serializers.IntegerField(min_value=0, max_value=60_000, required=False)
    delta = serializers.BooleanField(required=False)
    include_content = serializers.BooleanField(required=False)


class StreamView(ApiView):
    """The events of a subscription, or of a URI or pattern, as they come."""

    transport = "sse"

    @documented(
        "events/stream",
        {(200, "text/event-stream"): OpenApiTypes.STR},
        parameters=[
            StreamQuery,
            header("Last-Event-ID", "The last offset that the client has.", pattern="^[0-9]{1,18}$"),
        ],
        refusals=["invalid_uri"],
    )
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
            reply = await admitted(request)
            if reply.refusal is not None:
                stream.leave()
                if reply.refusal.code == "reset":
                    return _reset(reply, reply.refusal, params)
                headers = trace_headers(reply.traceparent)
                return problem_answer(
                    reply.refusal, incoming, headers=headers, offset=reply.offset, quotas=reply.quotas
                )
            session_id = await streams.keep(stream, request, reply.session_id)
        except BaseException:
            stream.leave()
            raise
        stream.headers.append((b"session-id", session_id.encode()))
        stream.headers += (*position_headers(reply.request_id, reply.offset), *quota_headers(reply.quotas))
        stream.headers += trace_headers(reply.traceparent)
        stream.opening += bookmark_frame(reply.result["subscription"], reply.result["offset"])
        stream.on_open = reply.then
        return stream


def _reset(reply: Reply, refusal: Refusal, params: dict[str, Any]) -> Answer:
    """The whole stream for a client whose offset proves nothing: one event that says so, in place of a problem."""
    frame = reset_frame(params.get("subscription", ""), refusal.data.get("earliest"), refusal.data.get("head"))
    headers = [
        *(*STREAM_HEADERS, *position_headers(reply.request_id, reply.offset)),
        *quota_headers(reply.quotas),
        *trace_headers(reply.traceparent),
    ]
    if reply.session_id is not None:
        headers.append((b"session-id", reply.session_id.encode()))
    return Answer(200, headers, frame, EVENT_STREAM)
