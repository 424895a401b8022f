"""Reading sessions and API keys for those who ask; always from the database (architecture §5). All of it blocks."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Min
from django.db.models.functions import Coalesce
from django.utils.timezone import now

from sessions_app.errors import KeyNotFound, SessionNotFound
from sessions_app.held import held
from sessions_app.models import ApiKey, Session, SigningKey, TokenFamily
from sessions_app.records import SessionRecord
from sessions_app.sessions import stored_session, stored_sessions
from sessions_app.states import LIVING, State

HEARD = timedelta(minutes=1)


def find_session(id: str, user_id: str | None) -> SessionRecord:
    """A session of a user (None: of anybody). Raises SessionNotFound for one that is foreign, ended or never was."""
    record = stored_session(id)
    if record is None or user_id not in (None, record.user_id):
        raise SessionNotFound()
    return with_activity(record)


def list_sessions(user_id: str | None, after: str, limit: int) -> list[SessionRecord]:
    """Sessions of a user (None: of all), in the order of their creation, with ids behind `after`.

    Those of the backend `cache` are found by their id alone.
    """
    rows = Session.objects.filter(id__gt=after, state__in=LIVING).order_by("id")
    if user_id is not None:
        rows = rows.filter(user_id=user_id)
    return [with_activity(record) for record in stored_sessions(rows, limit)]


def with_activity(record: SessionRecord) -> SessionRecord:
    """The record with what this process knows and has not written down yet."""
    active = held.active.get(record.id)
    if active is not None:
        record.last_active_at = max(record.last_active_at, active.last_active_at)
        record.position = max(record.position, active.position)
    return record


def find_key(id: str, user_id: str | None) -> ApiKey:
    """An API key of a user (None: of anybody), also one that was revoked or has expired. Raises KeyNotFound."""
    row = ApiKey.objects.filter(id=id).first()
    if row is None or user_id not in (None, str(row.user_id)):
        raise KeyNotFound()
    return row


def list_keys(user_id: str | None, after: str, limit: int) -> list[ApiKey]:
    """API keys that have not been revoked, of a user (None: of all), in the order of their creation, behind `after`."""
    rows = ApiKey.objects.select_related("user").filter(id__gt=after)
    if user_id is not None:
        rows = rows.filter(user_id=user_id)
    living = TokenFamily.objects.filter(revoked_at=None).values("id")
    return list(rows.filter(id__in=living).order_by("id")[:limit])


def idle_sessions(since: datetime, limit: int) -> list[str]:
    """Active sessions that have not been used after `since`."""
    rows = Session.objects.filter(state=State.ACTIVE, last_active_at__lte=since).order_by("last_active_at")
    return list(rows.values_list("id", flat=True)[:limit])


def unready_sessions(since: datetime, limit: int) -> list[str]:
    """Sessions made before `since` whose clients have not said that they are ready."""
    rows = Session.objects.filter(state=State.INITIALIZING, last_active_at__lte=since).order_by("last_active_at")
    return list(rows.values_list("id", flat=True)[:limit])


def orphaned_sessions(state: State, limit: int) -> list[str]:
    """Sessions in a state whose user may not log in any more."""
    rows = Session.objects.filter(state=state).exclude(user__is_active=True)
    return list(rows.order_by("id").values_list("id", flat=True)[:limit])


def abandoned_sessions(limit: int) -> list[str]:
    """Sessions that only the tokens of a family used that has ended."""
    ended = TokenFamily.objects.exclude(revoked_at=None) | TokenFamily.objects.filter(expires_at__lte=now())
    rows = Session.objects.filter(state__in=LIVING, id__in=ended.exclude(session_id="").values("session_id"))
    return list(rows.order_by("id").values_list("id", flat=True)[:limit])


def ended_sessions(limit: int) -> list[str]:
    """Sessions that wait to be destroyed."""
    rows = Session.objects.filter(state__in=[State.TERMINATING, State.DEAD])
    return list(rows.order_by("id").values_list("id", flat=True)[:limit])


def signing_keys() -> list[SigningKey]:
    """All signing keys, in the order in which they take over."""
    return list(SigningKey.objects.order_by("number"))


def spent_keys() -> list[str]:
    """Signing keys that were retired before everything that still counts was signed.

    The refresh token that may be used in a family was signed when it was last rotated; access tokens live for
    ACCESS_TOKEN_SECONDS. A minute is for nodes that have not heard of a rotation.
    """
    over = now() - timedelta(seconds=settings.ACCESS_TOKEN_SECONDS) - HEARD
    logins = TokenFamily.objects.filter(revoked_at=None, expires_at__gt=now()).exclude(current="")
    signed = logins.aggregate(first=Min(Coalesce("rotated_at", "created_at")))["first"]
    before = over if signed is None else min(over, signed - HEARD)
    return list(SigningKey.objects.filter(retired_at__lt=before).order_by("number").values_list("kid", flat=True))


def expired_families(before: datetime, limit: int) -> list[str]:
    """Token families whose last token has expired before a moment."""
    rows = TokenFamily.objects.filter(expires_at__lte=before)
    return list(rows.order_by("id").values_list("id", flat=True)[:limit])
