"""Events: what the log keeps of a change, and how it reads to followers (contract §4)."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

import orjson
from django.conf import settings

from resources_app.log.append import CHANGE_STREAM, ChangeStream
from resources_app.state import OnConflict, ResourceState, encode


@dataclass(slots=True, kw_only=True)
class LoggedEvent:
    """A change of one resource: the state after it, and what kind of change it was ("created", "updated", "deleted").

    `resolution` is how the conflict of a change of an old version was settled, None when there was none.
    `offset` is 0 until the log has numbered it; the texts are made once and shared by every follower.
    """

    stream: ClassVar[ChangeStream] = CHANGE_STREAM

    type: str
    after: ResourceState
    resolution: OnConflict | None = None
    offset: int = 0
    _texts: dict[bool, str] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        return self.after.uri

    @property
    def version(self) -> int:
        return self.after.version

    @property
    def time(self) -> datetime:
        return self.after.updated_at

    def text(self, include_content: bool = True) -> str:
        """The event as CloudEvents 1.0 JSON (structured mode)."""
        text = self._texts.get(include_content)
        if text is None:
            head: dict[str, object] = {
                "specversion": "1.0",
                "id": str(self.offset),
                "source": settings.ERLMCP_SOURCE,
                "subject": self.uri,
                "type": f"erlmcp.resource.{self.type}",
                "time": self.time,
                "datacontenttype": "application/json",
                "offset": self.offset,
                "version": self.version,
                "data": orjson.Fragment(
                    encode(self.after, include_content=include_content, resolution=self.resolution)
                ),
            }
            if self.resolution is not None:
                head["resolution"] = self.resolution.value
            text = self._texts[include_content] = orjson.dumps(head, option=orjson.OPT_UTC_Z).decode()
        return text
