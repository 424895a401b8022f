"""What the settings keep of the log: so many events, none older than so long, and for some prefixes more or less."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils.timezone import now

from audit_app.writer import writer
from resources_app.log.head import CHANGES, CONTROL, Bounds, bounds
from resources_app.log.prefixes import REST, divided, prefix_of
from resources_app.log.read import of_prefix
from resources_app.log.retention import Divide, trim
from resources_app.models import ControlEvent, Event

CONTROL_SECONDS = 24 * 3600


def trim_by_settings() -> int:
    """Trim both streams to what the settings keep. Returns how many events went."""
    moment = now()
    wanted = frozenset(settings.LOG_RETENTION_PREFIXES)
    kept = bounds()
    parts = kept[CHANGES].parts
    if divided(parts, wanted) != parts:
        writer.run(Divide(prefixes=wanted))
        kept = bounds()
    control = _first_since(ControlEvent, moment - timedelta(seconds=CONTROL_SECONDS), kept[CONTROL].head)
    stops = {prefix: _stop(kept[CHANGES], prefix, moment) for prefix in (REST, *wanted)}
    count = trim(CONTROL, control) + sum(trim(CHANGES, stop, prefix) for prefix, stop in stops.items())
    return count + _trim_unwanted(wanted)


def _trim_unwanted(wanted: frozenset[str]) -> int:
    """A prefix that is not configured any more goes back to the part around it, and is kept no longer than that."""
    kept = bounds()[CHANGES]
    around = {prefix: prefix_of(prefix, wanted) for prefix in kept.prefixes if prefix not in wanted}
    return sum(trim(CHANGES, kept.parts[whole], prefix) for prefix, whole in around.items())


def _stop(kept: Bounds, prefix: str, moment: datetime) -> int:
    """The offset below which the rule of a prefix keeps nothing."""
    events, seconds = _rule(prefix)
    by_number = 0 if events is None else _first_of_latest(kept, prefix, events)
    by_age = 0 if seconds is None else _first_since(Event, moment - timedelta(seconds=seconds), kept.head)
    return max(by_number, by_age)


def _rule(prefix: str) -> tuple[int | None, float | None]:
    """How many events of a prefix are kept, and for how many seconds; None: no limit of that kind."""
    if prefix == REST:
        return settings.LOG_RETENTION_EVENTS, settings.LOG_RETENTION_SECONDS
    rule = settings.LOG_RETENTION_PREFIXES[prefix]
    return rule.events, rule.seconds


def _first_of_latest(kept: Bounds, prefix: str, events: int) -> int:
    """The offset from which on a part of the log has so many events, or all that it has if they are fewer."""
    stop = kept.head - events + 1
    has_holes = bool(kept.prefixes) or stop < kept.skipped_to
    if not has_holes or stop <= kept.parts[prefix]:
        return stop
    # counted from the end, which others who trim leave alone
    rows = of_prefix(Event.objects.filter(offset__lte=kept.head), prefix, kept.prefixes).order_by("-offset")
    excess = rows.values_list("offset", flat=True)[events : events + 1].first()
    return 0 if excess is None else int(excess) + 1


def _first_since(model: Any, moment: datetime, head: int) -> int:
    """The first offset not older than a moment, 0 when none is older; offsets and commit times grow together."""
    first = model.objects.order_by("offset").values_list("offset", flat=True).first()
    low, high = (head + 1 if first is None else first), head + 1
    while low < high:
        middle = (low + high) // 2
        time = model.objects.filter(offset__gte=middle).order_by("offset").values_list("time", flat=True).first()
        if time is not None and time < moment:
            low = middle + 1
        else:
            high = middle
    return low if low != first else 0
