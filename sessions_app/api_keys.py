"""API keys, with which machines call: what they look like, and how the writer keeps them.

A key `erlk_<id>_<secret>` is a token family of one token that is never refreshed: the family of the same id ends it,
knows its session, and is dropped with it. Of the key itself only the SHA-256 is kept: 256 random bits need no salt.
"""

import re
import secrets
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import singledispatch
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.db.models import Count
from django.utils.timezone import now
from uuid_utils import uuid7

from audit_app.bulk import Bulk, Row, table_of
from audit_app.commands import Decision, Store
from audit_app.trail import Entry
from audit_app.writer import writer
from sessions_app.errors import TooManyKeys
from sessions_app.families import FRESH, fresh_family
from sessions_app.models import ApiKey, TokenFamily

SECRET_BYTES = 32
MARK = "erlk_"
SHAPE = re.compile(r"erlk_([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})_[A-Za-z0-9_-]{43}", re.ASCII)

KEYS = table_of(ApiKey, "id", "user", "label", "digest", "scope", "created_at", "expires_at", "last_used_at")
USES = table_of(ApiKey, "id", "last_used_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that was just made; `text` is shown to whoever asked for it, and kept nowhere."""

    id: str
    text: str = field(repr=False)

    @property
    def digest(self) -> str:
        return digest_of(self.text)


def new_key() -> NewKey:
    id = str(uuid7())
    return NewKey(id=id, text=f"{MARK}{id}_{secrets.token_urlsafe(SECRET_BYTES)}")


def id_of(text: str) -> str | None:
    """The id of the key that a text claims to be; None for what does not look like a key."""
    match = SHAPE.fullmatch(text)
    return match[1] if match else None


def digest_of(text: str) -> str:
    """What is kept of a key."""
    return sha256(text.encode()).hexdigest()


def described(key: ApiKey, user: str) -> dict[str, Any]:
    """An API key as its user, of that name, sees it."""
    return {
        "id": key.id,
        "prefix": f"{MARK}{key.id}",
        "user": user,
        "label": key.label,
        "scope": key.scope,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
    }


@dataclass(slots=True)
class KeysOfBatch:
    """Rows to add, by table, when keys were used, and how many those have who make new ones."""

    used: dict[str, datetime | None]
    counts: Counter[str]
    families: list[Row] = field(default_factory=list)
    keys: list[Row] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)


class ApiKeyStore(Store):
    """API keys are added here; `RevokeFamily` ends one, and `DropFamilies` forgets it."""

    def load(self, db: Bulk, commands: Sequence["KeyCommand"]) -> KeysOfBatch:
        ids = {id for command in commands if isinstance(command, RecordUses) for id in command.seen}
        used = {row[0]: row[1] for row in db.select(USES, "id", ids, lock=True)} if ids else {}
        owners = {command.user_id for command in commands if isinstance(command, OpenKey)}
        db.lock_owners(KEYS, map(int, owners))
        return KeysOfBatch(used, _counts(owners))

    def decide(self, state: KeysOfBatch, command: "KeyCommand", at: datetime) -> Decision:
        return decide(command, state, at)

    def save(self, db: Bulk, state: KeysOfBatch) -> None:
        db.insert(FRESH, state.families)
        db.insert(KEYS, state.keys)
        db.update(USES, "id", [(id, state.used[id]) for id in sorted(state.changed)])


STORE = ApiKeyStore()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenKey:
    """Add an API key, as long as its user may have one more; the result is its row."""

    key: str
    user_id: str
    label: str
    digest: str
    scope: str
    expires_at: datetime
    entry: Entry | None
    store: ApiKeyStore = STORE


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordUses:
    """When API keys were used last; older knowledge than what is kept is ignored."""

    seen: Mapping[str, datetime]
    entry: Entry | None = None
    store: ApiKeyStore = STORE


KeyCommand = OpenKey | RecordUses


@singledispatch
def decide(command: KeyCommand, state: KeysOfBatch, at: datetime) -> Decision:
    """Decide one command, and remember the outcome in `state`. Raises TooManyKeys."""
    raise TypeError(f"no decision for {type(command).__name__}")


@decide.register
def _open(command: OpenKey, state: KeysOfBatch, at: datetime) -> Decision:
    if state.counts[command.user_id] >= settings.API_KEYS_PER_USER:
        raise TooManyKeys(limit=settings.API_KEYS_PER_USER)
    state.counts[command.user_id] += 1
    state.families.append(fresh_family(command.key, command.user_id, "", command.expires_at, at))
    key = ApiKey(
        id=command.key,
        user_id=int(command.user_id),
        label=command.label,
        digest=command.digest,
        scope=command.scope,
        created_at=at,
        expires_at=command.expires_at,
    )
    state.keys.append((key.id, key.user_id, key.label, key.digest, key.scope, at, key.expires_at, None))
    details = {"label": key.label, "scope": key.scope, "expires_at": key.expires_at.isoformat()}
    return Decision(result=key, details=details)


@decide.register
def _record(command: RecordUses, state: KeysOfBatch, at: datetime) -> Decision:
    for id, used_at in command.seen.items():
        if id in state.used and used_at > (state.used[id] or datetime.min.replace(tzinfo=UTC)):
            state.used[id] = used_at
            state.changed.add(id)
    return Decision()


def _counts(user_ids: Collection[str]) -> Counter[str]:
    """How many API keys users have that are good."""
    if not user_ids:
        return Counter()
    living = TokenFamily.objects.filter(revoked_at=None).values("id")
    rows = ApiKey.objects.filter(user_id__in=user_ids, expires_at__gt=now(), id__in=living).values_list("user_id")
    return Counter({str(user_id): count for user_id, count in rows.annotate(count=Count("id"))})


class Uses:
    """When this process saw API keys used, until that is written down; like the activity of sessions, now and then."""

    def __init__(self) -> None:
        self._seen: dict[str, datetime] = {}

    def note(self, key: str) -> None:
        self._seen[key] = datetime.now(UTC)

    async def write(self) -> None:
        """Write down what is new. Raises what the writer raises; the next call tries again."""
        seen, self._seen = self._seen, {}
        if not seen:
            return
        try:
            await writer.submit(RecordUses(seen=seen))
        except BaseException:
            self._seen = seen | self._seen
            raise


uses = Uses()
