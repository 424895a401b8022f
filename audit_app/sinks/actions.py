"""What operators do to sinks. Each leaves its audit entry first, so that nothing is done unaudited.

`told` is what the entry says beside the change. Raises the writer's refusal, having changed nothing, when the entry
cannot be kept.
"""

from collections.abc import Mapping
from typing import Any

from django.db import router, transaction
from django.db.models import F

from audit_app.commands import Record
from audit_app.errors import InvalidParams
from audit_app.models import DeadLetter, Sink
from audit_app.queries import trail_head
from audit_app.trail import Entry
from audit_app.writer import writer

ACTION = "audit/sinks"
NOTHING: Mapping[str, Any] = {}


def pause(name: str, entry: Entry, told: Mapping[str, Any] = NOTHING) -> None:
    """Stop delivering to a sink, after the batch that is on its way."""
    _record(entry, told, change="paused")
    _set(name, paused=True)


def resume(name: str, entry: Entry, told: Mapping[str, Any] = NOTHING) -> None:
    """Deliver again from where it stopped, and at once, whatever rest a failure had asked for."""
    _record(entry, told, change="resumed")
    _set(name, paused=False, failed_at=None)


def replay(name: str, first: int, entry: Entry, told: Mapping[str, Any] = NOTHING) -> None:
    """Deliver from the entry `first` on, again or for the first time; dead letters from there on get another chance.

    Raises InvalidParams for a number that is not in the trail and not the next one.
    """
    if not 1 <= first <= trail_head() + 1:
        raise InvalidParams(f"The trail has the entries 1 to {trail_head()}.")
    _record(entry, told, change="replayed", first=first)
    using = router.db_for_write(Sink)
    with transaction.atomic(using=using):
        # whoever delivers now has lost its lease with this, and cannot move the cursor back
        _set(name, cursor=first - 1, replays=F("replays") + 1, holder="", failed_at=None)
        DeadLetter.objects.using(using).filter(sink=name, sequence__gte=first).delete()


def _record(entry: Entry, told: Mapping[str, Any], **details: Any) -> None:
    writer.run(Record(entry=entry, details={**details, **told}))


def _set(name: str, **values: Any) -> None:
    using = router.db_for_write(Sink)
    Sink.objects.using(using).get_or_create(name=name)
    Sink.objects.using(using).filter(name=name).update(**values)
