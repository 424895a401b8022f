"""Room for one more session of a user, also when there are as many as there may be (docs/limits.md).

A client that logs in anew each time leaves its sessions behind, and must not be locked out by them: the one that was
used longest ago ends, if nobody can miss it. What is used, or waits with a durable subscription for its client, is
never ended for another one, and what an admin has suspended neither: that would lift the suspension.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count
from django.utils.timezone import now

from resources_app.models import Subscription
from sessions_app.models import Session
from sessions_app.records import SessionRecord
from sessions_app.states import LIVING, Reason, State


@dataclass(slots=True)
class Room:
    """How many sessions a user has, and the ids of those that may end for new ones, the longest unused first."""

    count: int
    unused: Sequence[str] = ()


def room_for(wanted: Counter[str]) -> dict[str, Room]:
    """Room for so many new sessions of users, by their ids. Reads the database."""
    if not wanted:
        return {}
    rows = Session.objects.filter(user_id__in=wanted, state__in=LIVING).values_list("user_id")
    counts = Counter({str(user_id): count for user_id, count in rows.annotate(count=Count("id"))})
    rooms = {user_id: Room(counts[user_id]) for user_id in wanted}
    for user_id, room in rooms.items():
        if missing := max(0, room.count + wanted[user_id] - settings.SESSIONS_PER_USER):
            room.unused = _unused(user_id, missing)
    return rooms


def is_unused(record: SessionRecord, at: datetime) -> bool:
    """Whether a session may end for another one, as far as its record tells.

    An open socket or stream that follows shows its session to be active four times in SESSION_IDLE_SECONDS.
    """
    if record.state is State.SUSPENDED:
        return record.reason is Reason.IDLE
    return record.state is State.ACTIVE and record.last_active_at <= _since(at)


def _since(at: datetime) -> datetime:
    return at - timedelta(seconds=settings.SESSION_IDLE_SECONDS / 2)


def _unused(user_id: str, limit: int) -> list[str]:
    waiting = Subscription.objects.filter(user_id=user_id).values("session_id")
    rows = Session.objects.filter(
        user_id=user_id, state__in=(State.ACTIVE, State.SUSPENDED), last_active_at__lte=_since(now())
    )
    rows = rows.exclude(reason=Reason.ADMIN).exclude(id__in=waiting)
    return list(rows.order_by("last_active_at").values_list("id", flat=True)[:limit])
