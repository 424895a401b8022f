"""Events: what the log keeps of a change, and how it reads to followers (contract §4)."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

import orjson
from django.conf import settings

from resources_app.log.append import CHANGE_STREAM, ChangeStream
from resources_app.log.deltas import delta_of
from resources_app.state import OnConflict, ResourceState, encode
from telemetry_app.tracing.context import TraceContext


@dataclass(slots=True, kw_only=True)
class LoggedEvent:
    """A change of one resource: the state after it, and what kind of change it was ("created", "updated", "deleted").

    `resolution` is how the conflict of a change of an old version was settled, None when there was none. `offset` is 0
    until the log has numbered it. `base` is the state before an update, where that is at hand and somebody may have
    been sent it. `kept` is the content as the database keeps it, None when that is the body of `after`. `trace` is the
    span that the change was made in, None where nobody asked for it. The texts are made once and shared by every
    follower.
    """

    stream: ClassVar[ChangeStream] = CHANGE_STREAM

    type: str
    after: ResourceState
    resolution: OnConflict | None = None
    offset: int = 0
    base: ResourceState | None = None
    kept: bytes | None = None
    trace: TraceContext | None = None
    _texts: dict[bool, str] = field(default_factory=dict)
    _delta_text: str | None = None

    @property
    def uri(self) -> str:
        return self.after.uri

    @property
    def version(self) -> int:
        return self.after.version

    @property
    def kept_body(self) -> bytes:
        """What the database keeps of the content."""
        return self.after.body if self.kept is None else self.kept

    @property
    def time(self) -> datetime:
        return self.after.updated_at

    def find_base(self, before: ResourceState | None) -> None:
        """Take the latest state that is known from before as the base, if that is what it is."""
        if self.type != "updated" or before is None or before.version != self.version - 1:
            return
        if not (before.is_destroyed or self.after.is_destroyed):
            self.base = before

    def text(self, include_content: bool = True) -> str:
        """The event as CloudEvents 1.0 JSON (structured mode)."""
        text = self._texts.get(include_content)
        if text is None:
            whole = encode(self.after, include_content=include_content, resolution=self.resolution)
            text = self._texts[include_content] = self._with_data(whole)
        return text

    @property
    def is_comparing(self) -> bool:
        """Whether the delta is still to be made."""
        return self.base is not None and self._delta_text is None

    def delta_text(self) -> str:
        """The event for those who have its base, with a delta as `data`; like `text` where there is none."""
        if self._delta_text is None:
            delta = None if self.base is None else delta_of(self.base, self.after, self.resolution)
            self._delta_text = self.text() if delta is None else self._with_data(delta)
        return self._delta_text

    def _with_data(self, data: bytes) -> str:
        event: dict[str, object] = {
            "specversion": "1.0",
            "id": str(self.offset),
            "source": settings.ERLMCP_SOURCE,
            "subject": self.uri,
            "type": f"erlmcp.resource.{self.type}",
            "time": self.time,
            "datacontenttype": "application/json",
            "offset": self.offset,
            "version": self.version,
            "data": orjson.Fragment(data),
        }
        if self.resolution is not None:
            event["resolution"] = self.resolution.value
        # the extension for distributed tracing (cloudevents/extensions/distributed-tracing.md)
        if self.trace is not None:
            event["traceparent"] = self.trace.traceparent
            if self.trace.state:
                event["tracestate"] = self.trace.state
        return orjson.dumps(event, option=orjson.OPT_UTC_Z).decode()
