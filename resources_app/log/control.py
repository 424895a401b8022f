"""The control stream: what every node has to follow besides resources. Followers of resources never see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

import orjson

from audit_app.bulk import Bulk, table_of
from resources_app import models
from resources_app.log.head import CONTROL, HEADS

SUBSCRIPTION_DELETED = "subscription.deleted"
LOG_TRIMMED = "log.trimmed"

CONTROL_EVENTS = table_of(models.ControlEvent, "offset", "kind", "subject", "data", "time")


class ControlStream:
    """The stream `control` of the log."""

    name = CONTROL

    def append(self, db: Bulk, events: Sequence["ControlEvent"], at: datetime) -> None:
        head = db.advance(HEADS, CONTROL, len(events))
        for offset, event in enumerate(events, head - len(events) + 1):
            event.offset = offset
        db.insert(
            CONTROL_EVENTS,
            [(event.offset, event.kind, event.subject, orjson.dumps(event.data).decode(), at) for event in events],
        )


CONTROL_STREAM = ControlStream()


@dataclass(slots=True, kw_only=True)
class ControlEvent:
    """`kind` reads "<what>.<happened>" ("session.suspended", "family.revoked"); `subject` is the id of the "what"."""

    stream: ClassVar[ControlStream] = CONTROL_STREAM

    kind: str
    subject: str
    data: Mapping[str, Any] = field(default_factory=dict)
    offset: int = 0


def read_control(after: int, limit: int) -> list[ControlEvent]:
    """Control events with offsets above `after`, in order."""
    rows = models.ControlEvent.objects.filter(offset__gt=after).order_by("offset")[:limit]
    return [
        ControlEvent(kind=row.kind, subject=row.subject, data=orjson.loads(row.data), offset=row.offset) for row in rows
    ]
