"""How near durable subscriptions are to what the log has lost, as metrics; the same on every process."""

from django.db.models import Min

from resources_app.log.head import CHANGES, Bounds, bounds
from resources_app.models import Subscription
from resources_app.patterns import parse_pattern
from telemetry_app.metrics import LOG_EARLIEST, SUBSCRIPTION_HEADROOM, SUBSCRIPTIONS, SUBSCRIPTIONS_LOST

MOST = 10_000
"""Where the log has parts, of so many subscriptions, those that stand earliest, each is asked for its own part."""


def measure_subscriptions() -> None:
    """Bring the gauges of durable subscriptions up to date. Raises django.db.DatabaseError."""
    kept = bounds()[CHANGES]
    lost, headroom = _by_parts(kept) if kept.prefixes else _at_once(kept.of(None))
    LOG_EARLIEST.set(kept.of(None).earliest)
    SUBSCRIPTIONS.set(Subscription.objects.count())
    SUBSCRIPTIONS_LOST.set(lost)
    SUBSCRIPTION_HEADROOM.set(headroom)


def _at_once(kept: Bounds) -> tuple[int, int]:
    """How many are lost, and what the next one has left: where all of them follow one part."""
    edge = kept.earliest - 1
    next_one = Subscription.objects.filter(offset__gte=edge).aggregate(offset=Min("offset"))["offset"]
    headroom = (kept.head if next_one is None else next_one) - edge
    return Subscription.objects.filter(offset__lt=edge).count(), headroom


def _by_parts(kept: Bounds) -> tuple[int, int]:
    rows = Subscription.objects.order_by("offset").values_list("pattern", "offset")[:MOST]
    left = [offset - kept.of(parse_pattern(pattern)).earliest + 1 for pattern, offset in rows]
    kept_left = [offsets for offsets in left if offsets >= 0]
    return len(left) - len(kept_left), min(kept_left, default=kept.head - kept.of(None).earliest + 1)
