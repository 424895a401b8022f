"""Keys as the writer keeps them: adding, wrapping anew, destroying."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from audit_app.bulk import Bulk, Row, table_of
from audit_app.commands import Decision, Event, Store
from audit_app.errors import Again
from audit_app.trail import Entry
from encryption_app.errors import KeyInUse
from encryption_app.models import DataKey, KeyEncryptionKey

DATA_KEYS = table_of(DataKey, "id", "subject", "wrapped", "provider", "key_id", "created_at", "destroyed_at")
LIVES = table_of(DataKey, "id", "destroyed_at")
WRAPPINGS = table_of(KeyEncryptionKey, "id", "provider", "number", "key_id", "created_at", "destroyed_at")
NEW_WRAPPINGS = table_of(KeyEncryptionKey, "provider", "number", "key_id", "created_at", "destroyed_at")
ENDS = table_of(KeyEncryptionKey, "id", "destroyed_at")


@dataclass(frozen=True, slots=True)
class KeptKey:
    """A data key as it is kept."""

    id: str
    subject: str
    wrapped: bytes
    provider: str
    key_id: str
    created_at: datetime | None = None
    destroyed_at: datetime | None = None

    @property
    def row(self) -> Row:
        return (
            *(self.id, self.subject, self.wrapped, self.provider, self.key_id),
            *(self.created_at, self.destroyed_at),
        )


@dataclass(slots=True)
class KeysOfBatch:
    """The data keys that a batch touches, by id, and the key-encryption keys of its providers."""

    keys: dict[str, KeptKey]
    wrappings: dict[tuple[str, int], Row]
    fresh: list[str] = field(default_factory=list)
    changed: dict[str, None] = field(default_factory=dict)
    added: list[Row] = field(default_factory=list)
    ended: list[Row] = field(default_factory=list)

    def living(self, subject: str) -> KeptKey | None:
        """The data key of a subject that is not destroyed."""
        for key in self.keys.values():
            if key.subject == subject and key.destroyed_at is None:
                return key
        return None

    def wrapping(self, provider: str, key_id: str) -> Row | None:
        """The key-encryption key of an id."""
        for row in self.wrappings.values():
            if (row[1], row[3]) == (provider, key_id):
                return row
        return None

    def is_current(self, row: Row) -> bool:
        """Whether a key-encryption key wraps what is new."""
        living = [other[2] for other in self.wrappings.values() if other[1] == row[1] and other[5] is None]
        return bool(living) and max(living) == row[2]


class KeyStore(Store):
    """One store for data keys and for the names of key-encryption keys."""

    def load(self, db: Bulk, commands: Sequence["KeyCommand"]) -> KeysOfBatch:
        subjects = {command.key.subject for command in commands if isinstance(command, AddDataKey)}
        ids = {id for command in commands if isinstance(command, DestroyDataKeys) for id in command.ids}
        ids |= {key.id for command in commands if isinstance(command, WrapDataKeys) for key in command.keys}
        ended = {command.key_id for command in commands if isinstance(command, DestroyKeyEncryptionKey)}
        providers = {name for command in commands for name in command.providers}
        # first these: whoever adds a data key waits for whoever destroys what it is wrapped by
        kept = db.select(WRAPPINGS, "provider", providers, lock=True) if providers else ()
        rows = [*(db.select(DATA_KEYS, "subject", subjects, lock=True) if subjects else ())]
        rows += db.select(DATA_KEYS, "id", ids, lock=True) if ids else ()
        rows += db.select(DATA_KEYS, "key_id", ended) if ended else ()
        return KeysOfBatch({row[0]: kept_key(row) for row in rows}, {(row[1], row[2]): row for row in kept})

    def decide(self, state: KeysOfBatch, command: "KeyCommand", at: datetime) -> Decision:
        return command.apply(state, at)

    def save(self, db: Bulk, state: KeysOfBatch) -> None:
        # what was destroyed makes room for its successor
        db.update(DATA_KEYS, "id", [state.keys[id].row for id in sorted(state.changed.keys() - set(state.fresh))])
        db.insert(DATA_KEYS, [state.keys[id].row for id in state.fresh])
        db.insert(NEW_WRAPPINGS, [row[1:] for row in state.added])
        db.update(ENDS, "id", state.ended)


STORE = KeyStore()


@dataclass(frozen=True, slots=True, kw_only=True)
class AddDataKey:
    """Keep a data key for its subject, unless it has a living one; the result is the one that it has then.

    Raises Again when what it is wrapped by is destroyed.
    """

    key: KeptKey
    entry: Entry | None = None
    store: KeyStore = STORE

    @property
    def providers(self) -> tuple[str, ...]:
        return (self.key.provider,)

    def apply(self, state: KeysOfBatch, at: datetime) -> Decision:
        wrapping = state.wrapping(self.key.provider, self.key.key_id)
        if wrapping is None or wrapping[5] is not None:
            raise Again("The key-encryption key was destroyed in this moment.")
        has = state.living(self.key.subject)
        if has is None:
            key = self.key
            has = KeptKey(key.id, key.subject, key.wrapped, key.provider, key.key_id, at)
            state.keys[has.id] = has
            state.fresh.append(has.id)
        return Decision(result=has)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapDataKeys:
    """Keep data keys as they are wrapped now; the result counts.

    Except those that were destroyed meanwhile, and those whose new wrapping was.
    """

    keys: Sequence[KeptKey]
    entry: Entry | None = None
    store: KeyStore = STORE

    @property
    def providers(self) -> tuple[str, ...]:
        return tuple({key.provider for key in self.keys})

    def apply(self, state: KeysOfBatch, at: datetime) -> Decision:
        count = 0
        for key in self.keys:
            has, wrapping = state.keys.get(key.id), state.wrapping(key.provider, key.key_id)
            is_wrapped = wrapping is not None and wrapping[5] is None
            if has is not None and has.destroyed_at is None and is_wrapped:
                count += 1
                state.changed[key.id] = None
                state.keys[key.id] = KeptKey(key.id, has.subject, key.wrapped, key.provider, key.key_id, has.created_at)
        return Decision(result=count)


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyDataKeys:
    """Destroy data keys: what they have sealed cannot be opened again. `told` makes the event of each. Counts."""

    ids: Sequence[str]
    told: Callable[[KeptKey], Event]
    entry: Entry | None
    store: KeyStore = STORE

    @property
    def providers(self) -> tuple[str, ...]:
        return ()

    def apply(self, state: KeysOfBatch, at: datetime) -> Decision:
        events = []
        for id in self.ids:
            has = state.keys.get(id)
            if has is not None and has.destroyed_at is None:
                gone = KeptKey(id, has.subject, b"", has.provider, has.key_id, has.created_at, at)
                state.keys[id] = gone
                state.changed[id] = None
                events.append(self.told(gone))
        return Decision(result=len(events), events=events, details={"destroyed": len(events)})


@dataclass(frozen=True, slots=True, kw_only=True)
class OfKeyEncryptionKey:
    """What a command says that is about one key-encryption key of a provider."""

    provider: str
    key_id: str
    entry: Entry | None
    store: KeyStore = STORE

    @property
    def providers(self) -> tuple[str, ...]:
        return (self.provider,)

    @property
    def details(self) -> dict[str, Any]:
        """Which key it is, for the audit entry."""
        return {"provider": self.provider, "key_encryption_key": self.key_id}


@dataclass(frozen=True, slots=True, kw_only=True)
class AddKeyEncryptionKey(OfKeyEncryptionKey):
    """Make a key of a provider its current one, unless the number is taken; the result says whether it is."""

    number: int

    def apply(self, state: KeysOfBatch, at: datetime) -> Decision:
        place = (self.provider, self.number)
        if is_free := place not in state.wrappings:
            row = (0, self.provider, self.number, self.key_id, at, None)
            state.wrappings[place] = row
            state.added.append(row)
        return Decision(result=is_free, details={**self.details, "added": is_free})


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyKeyEncryptionKey(OfKeyEncryptionKey):
    """Have a key-encryption key count as destroyed, before its provider destroys it.

    Raises KeyInUse for the current one, and while a living data key is wrapped by it.
    """

    def apply(self, state: KeysOfBatch, at: datetime) -> Decision:
        row = state.wrapping(self.provider, self.key_id)
        if row is None:
            raise KeyInUse("There is no such key-encryption key.")
        if row[5] is None:
            if state.is_current(row):
                raise KeyInUse("It wraps what is new: rotate first.")
            wrapped = sum(
                key.destroyed_at is None and (key.provider, key.key_id) == (self.provider, self.key_id)
                for key in state.keys.values()
            )
            if wrapped:
                raise KeyInUse(f"It wraps {wrapped} data keys: re-encrypt first.", data_keys=wrapped)
            state.ended.append((row[0], at))
        return Decision(details=self.details)


KeyCommand = AddDataKey | WrapDataKeys | DestroyDataKeys | AddKeyEncryptionKey | DestroyKeyEncryptionKey


def destroyed(db: Bulk, ids: Iterable[str]) -> set[str]:
    """Those data keys that are destroyed, or never were; the others stay as they are until the transaction ends."""
    wanted = set(ids)
    return wanted - {row[0] for row in db.select(LIVES, "id", wanted, lock=True) if row[1] is None}


def kept_key(row: Row) -> KeptKey:
    """A data key out of its row."""
    values = list(row)
    values[2] = bytes(values[2])
    return KeptKey(*values)
