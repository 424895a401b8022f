"""Durable subscriptions: created, acknowledged and deleted through the writer (seed §5.1, contract §4)."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import orjson
from django.conf import settings
from django.db.models import Count

from audit_app.bulk import Bulk, table_of
from audit_app.commands import Decision, Store
from audit_app.errors import Refusal
from audit_app.trail import Entry
from resources_app import models
from resources_app.errors import TooManySubscriptions
from resources_app.hub.followers import Following
from resources_app.log.control import SUBSCRIPTION_DELETED, ControlEvent
from resources_app.patterns import parse_pattern


class SubscriptionNotFound(Refusal):
    """There is no such subscription, or it is not yours."""

    code = "resource_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A durable subscription; `offset` is the last one that its owner has acknowledged."""

    id: str
    pattern: str
    user_id: str
    session_id: str
    client_id: str
    label: str
    events: str
    options: str
    offset: int
    created_at: datetime

    def following(self, after: int | None = None) -> Following:
        """What a follower of this subscription wants, after its acknowledged offset unless told otherwise."""
        options = orjson.loads(self.options)
        return Following(
            subscription=self.id,
            pattern=parse_pattern(self.pattern),
            events=frozenset(self.events.split(",")),
            after=self.offset if after is None else after,
            **options,
        )

    def as_json(self) -> dict[str, Any]:
        """The subscription as callers see it."""
        return {
            "id": self.id,
            "resource": self.pattern,
            "events": self.events.split(","),
            "client_id": self.client_id,
            "created": self.created_at,
            "label": self.label,
            "options": orjson.Fragment(self.options),
            "offset": self.offset,
        }


COLUMNS = ("id", "pattern", "user_id", "session_id", "client_id", "label", "events", "options", "offset", "created_at")
TABLE = table_of(models.Subscription, *COLUMNS)
BY_SESSION = table_of(models.Subscription, "session_id")


@dataclass(slots=True)
class Loaded:
    """The subscriptions of one batch (None: deleted), and how many those have who make new ones."""

    before: dict[str, Subscription]
    counts: Counter[str]
    now: dict[str, Subscription | None] = field(default_factory=dict)

    def get(self, id: str) -> Subscription | None:
        return self.now[id] if id in self.now else self.before.get(id)


class SubscriptionStore(Store):
    """One store for all subscriptions."""

    def load(self, db: Bulk, commands: Sequence[Any]) -> Loaded:
        rows = db.select(TABLE, "id", [command.id for command in commands], lock=True)
        found = [Subscription(**dict(zip(COLUMNS, row, strict=True))) for row in rows]
        owners = {command.subscription.user_id for command in commands if isinstance(command, Subscribe)}
        db.lock_owners(TABLE, map(int, owners))
        return Loaded({subscription.id: subscription for subscription in found}, _counts(owners))

    def decide(self, state: Loaded, command: Any, at: datetime) -> Decision:
        before = state.get(command.id)
        after = command.apply(before, at)
        if before is None and after is not None:
            if state.counts[after.user_id] >= settings.SUBSCRIPTIONS_PER_USER:
                raise TooManySubscriptions(limit=settings.SUBSCRIPTIONS_PER_USER)
            state.counts[after.user_id] += 1
        state.now[command.id] = after
        subject = after or before
        details = {"resource": subject.pattern, "offset": subject.offset} if subject is not None else {}
        events = [ControlEvent(kind=SUBSCRIPTION_DELETED, subject=command.id)] if after is None else []
        return Decision(result=after, events=events, details=details)

    def save(self, db: Bulk, state: Loaded) -> None:
        db.delete(TABLE, "id", [id for id, after in state.now.items() if after is None and id in state.before])
        kept = [after for after in state.now.values() if after is not None]
        db.insert(TABLE, [_row(after) for after in kept if after.id not in state.before])
        db.update(TABLE, "id", [_row(after) for after in kept if after.id in state.before])


STORE = SubscriptionStore()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    """Create a subscription; the result is the subscription. Its `created_at` is that of the commit."""

    subscription: Subscription
    entry: Entry | None
    store: SubscriptionStore = STORE

    @property
    def id(self) -> str:
        return self.subscription.id

    def apply(self, before: Subscription | None, at: datetime) -> Subscription:
        return replace(self.subscription, created_at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribe:
    """Delete a subscription: of this user, or whoever it belongs to."""

    id: str
    user_id: str | None
    entry: Entry | None
    store: SubscriptionStore = STORE

    def apply(self, before: Subscription | None, at: datetime) -> None:
        if before is None or self.user_id is not None:
            _own(before, self.user_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledge:
    """Remember that a user has dealt with everything up to an offset; going back is no change."""

    id: str
    user_id: str
    offset: int
    entry: Entry | None
    store: SubscriptionStore = STORE

    def apply(self, before: Subscription | None, at: datetime) -> Subscription:
        own = _own(before, self.user_id)
        return replace(own, offset=max(own.offset, self.offset))


def release_subscriptions(db: Bulk, session_ids: Sequence[str]) -> None:
    """Delete the subscriptions of sessions that end, in the transaction that ends them (seed §4.1)."""
    db.delete(BY_SESSION, "session_id", session_ids)


def find_subscription(id: str, user_id: str) -> Subscription:
    """A user's subscription. Raises SubscriptionNotFound."""
    row = models.Subscription.objects.filter(id=id, user_id=user_id).first()
    if row is None:
        raise SubscriptionNotFound()
    return _of(row)


def list_subscriptions(user_id: str, after: str, limit: int) -> list[Subscription]:
    """A user's subscriptions with ids behind `after`, in the order of their ids (that of their creation)."""
    rows = models.Subscription.objects.filter(user_id=user_id, id__gt=after).order_by("id")
    return [_of(row) for row in rows[:limit]]


def _counts(user_ids: Collection[str]) -> Counter[str]:
    """How many subscriptions users have."""
    if not user_ids:
        return Counter()
    rows = models.Subscription.objects.filter(user_id__in=user_ids).values_list("user_id")
    return Counter(dict(rows.annotate(count=Count("id"))))


def _of(row: models.Subscription) -> Subscription:
    return Subscription(**{column: getattr(row, column) for column in COLUMNS})


def _own(before: Subscription | None, user_id: str | None) -> Subscription:
    if before is None or before.user_id != user_id:
        raise SubscriptionNotFound()
    return before


def _row(subscription: Subscription) -> tuple[Any, ...]:
    return tuple(getattr(subscription, column) for column in COLUMNS)
