"""What operators do to sinks. Each leaves its audit entry first, so that nothing is done unaudited.

`told` is what the entry says beside the change. Raises the writer's refusal, having changed nothing, when the entry
cannot be kept.
"""

from collections.abc import Mapping
from copy import copy
from typing import Any

from django.db import router, transaction
from django.db.models import F

from audit_app.commands import Record
from audit_app.differences import differences
from audit_app.errors import InvalidParams
from audit_app.models import DeadLetter, Sink
from audit_app.queries import trail_head
from audit_app.trail import Entry
from audit_app.writer import writer

ACTION = "audit/sinks"
NOTHING: Mapping[str, Any] = {}


def pause(name: str, entry: Entry, told: Mapping[str, Any] = NOTHING) -> None:
    """Stop delivering to a sink, after the batch that is on its way."""
    _record(name, entry, told, {"paused": True}, change="paused")
    _set(name, paused=True)


def resume(name: str, entry: Entry, told: Mapping[str, Any] = NOTHING) -> None:
    """Deliver again from where it stopped, and at once, whatever rest a failure had asked for."""
    _record(name, entry, told, {"paused": False}, change="resumed")
    _set(name, paused=False, failed_at=None)


def replay(name: str, first: int, entry: Entry, told: Mapping[str, Any] = NOTHING) -> None:
    """Deliver from the entry `first` on, again or for the first time; dead letters from there on get another chance.

    Raises InvalidParams for a number that is not in the trail and not the next one.
    """
    if not 1 <= first <= trail_head() + 1:
        raise InvalidParams(f"The trail has the entries 1 to {trail_head()}.")
    _record(name, entry, told, {"cursor": first - 1}, change="replayed", first=first)
    using = router.db_for_write(Sink)
    with transaction.atomic(using=using):
        # whoever delivers now has lost its lease with this, and cannot move the cursor back
        _set(name, cursor=first - 1, replays=F("replays") + 1, holder="", failed_at=None)
        DeadLetter.objects.using(using).filter(sink=name, sequence__gte=first).delete()


def _record(name: str, entry: Entry, told: Mapping[str, Any], wanted: Mapping[str, Any], **details: Any) -> None:
    """Leave the entry, with the fields that change as they are a moment before."""
    before = Sink.objects.filter(name=name).first() or Sink(name=name)
    after = copy(before)
    for field, value in wanted.items():
        setattr(after, field, value)
    writer.run(Record(entry=entry, details={**details, "changes": differences(before, after), **told}))


def _set(name: str, **values: Any) -> None:
    using = router.db_for_write(Sink)
    Sink.objects.using(using).get_or_create(name=name)
    Sink.objects.using(using).filter(name=name).update(**values)
