"""Server-sent events on the wire (WHATWG HTML §9.2, contract §4)."""

from collections.abc import Sequence

import orjson

from resources_app.log.events import LoggedEvent


def events_frame(events: Sequence[LoggedEvent], texts: Sequence[str]) -> bytes:
    """Events, each under its offset as id; their JSON has no line breaks."""
    messages = [f"id: {event.offset}\ndata: {text}\n\n" for event, text in zip(events, texts, strict=True)]
    return "".join(messages).encode()


def bookmark_frame(subscription: str, offset: int) -> bytes:
    """Everything up to the offset has been sent: a client may resume there."""
    data = orjson.dumps({"subscription": subscription, "offset": offset})
    return b"event: bookmark\nid: %d\ndata: %b\n\n" % (offset, data)


def reset_frame(subscription: str, earliest: int | None, head: int | None) -> bytes:
    """Continuity cannot be proven; it bears no id, so that nobody resumes from it."""
    data = orjson.dumps({"subscription": subscription, "earliest": earliest, "head": head})
    return b"event: reset\ndata: %b\n\n" % data


def retry_frame(milliseconds: int) -> bytes:
    """How long a client waits before it connects again."""
    return b"retry: %d\n\n" % milliseconds


def drain_frame(milliseconds: int) -> bytes:
    """The server ends: connect again after so long, which the browser's EventSource does by itself."""
    return b'retry: %d\nevent: drain\ndata: {"retry_ms":%d}\n\n' % (milliseconds, milliseconds)
