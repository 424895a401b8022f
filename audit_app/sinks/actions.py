"""What operators do to sinks. Each leaves its audit entry first, so that nothing is done unaudited.

Raises the writer's refusal, having changed nothing, when the entry cannot be kept.
"""

from typing import Any

from django.db import router, transaction
from django.db.models import F

from audit_app.errors import InvalidParams
from audit_app.models import DeadLetter, Sink
from audit_app.queries import trail_head
from audit_app.trail import Entry
from audit_app.writer import Record, writer

ACTION = "audit/sinks"


def pause(name: str, entry: Entry) -> None:
    """Stop delivering to a sink, after the batch that is on its way."""
    _record(entry, change="paused")
    _set(name, paused=True)


def resume(name: str, entry: Entry) -> None:
    """Deliver again from where it stopped, and at once, whatever rest a failure had asked for."""
    _record(entry, change="resumed")
    _set(name, paused=False, failed_at=None)


def replay(name: str, first: int, entry: Entry) -> None:
    """Deliver from the entry `first` on, again or for the first time; dead letters from there on get another chance.

    Raises InvalidParams for a number that is not in the trail and not the next one.
    """
    if not 1 <= first <= trail_head() + 1:
        raise InvalidParams(f"The trail has the entries 1 to {trail_head()}.")
    _record(entry, change="replayed", first=first)
    using = router.db_for_write(Sink)
    with transaction.atomic(using=using):
        # whoever delivers now has lost its lease with this, and cannot move the cursor back
        _set(name, cursor=first - 1, replays=F("replays") + 1, holder="", failed_at=None)
        DeadLetter.objects.using(using).filter(sink=name, sequence__gte=first).delete()


def _record(entry: Entry, **details: Any) -> None:
    writer.run(Record(entry=entry, details=details))


def _set(name: str, **values: Any) -> None:
    using = router.db_for_write(Sink)
    Sink.objects.using(using).get_or_create(name=name)
    Sink.objects.using(using).filter(name=name).update(**values)
