"""A span for what a topic's followers are handed, with links to the changes that they are told of."""

import time
from collections.abc import Sequence

from audit_app.redaction import redacted_text
from resources_app.hub.topics import Topic
from telemetry_app.tracing.context import RANDOM, SAMPLED, TraceContext, continued
from telemetry_app.tracing.spans import Kind, Span

MAX_LINKS = 128


def delivery_span(topic: Topic, since: float, changes: Sequence[TraceContext]) -> Span:
    """From the commit of the oldest change, at the Unix time `since`, to now, when the last follower has been served.

    `changes` are the spans that changes were made in and that are kept.
    """
    trace = continued(None)
    trace.flags = RANDOM | SAMPLED
    return Span(
        trace=trace,
        name="send changes",
        kind=Kind.PRODUCER,
        start=round(since * 1e9),
        end=max(round(since * 1e9), time.time_ns()),
        attributes={
            "messaging.system": "erlmcp",
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.name": redacted_text(str(topic.pattern)),
            "messaging.batch.message_count": len(changes),
            "erlmcp.followers": len(topic.followers),
        },
        links=changes[:MAX_LINKS],
    )
