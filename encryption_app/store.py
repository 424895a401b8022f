"""Keys as the writer keeps them: adding, wrapping anew, destroying."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from audit_app.bulk import Bulk, Row, table_of
from audit_app.commands import Decision, Event, Store
from audit_app.trail import Entry
from encryption_app.models import DataKey, KeyEncryptionKey

DATA_KEYS = table_of(DataKey, "id", "subject", "wrapped", "provider", "key_id", "created_at", "destroyed_at")
LIVES = table_of(DataKey, "id", "destroyed_at")
WRAPPINGS = table_of(KeyEncryptionKey, "provider", "number", "key_id", "created_at", "destroyed_at")


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
    wrappings: set[tuple[str, int]]
    fresh: list[str] = field(default_factory=list)
    changed: dict[str, None] = field(default_factory=dict)
    added: list[Row] = field(default_factory=list)

    def living(self, subject: str) -> KeptKey | None:
        """The data key of a subject that is not destroyed."""
        for key in self.keys.values():
            if key.subject == subject and key.destroyed_at is None:
                return key
        return None


class KeyStore(Store):
    """One store for data keys and for the names of key-encryption keys."""

    def load(self, db: Bulk, commands: Sequence["KeyCommand"]) -> KeysOfBatch:
        subjects = {command.key.subject for command in commands if isinstance(command, AddDataKey)}
        ids = {id for command in commands if isinstance(command, DestroyDataKeys) for id in command.ids}
        ids |= {key.id for command in commands if isinstance(command, WrapDataKeys) for key in command.keys}
        providers = {command.provider for command in commands if isinstance(command, AddKeyEncryptionKey)}
        rows = [*(db.select(DATA_KEYS, "subject", subjects, lock=True) if subjects else ())]
        rows += db.select(DATA_KEYS, "id", ids, lock=True) if ids else ()
        kept = db.select(WRAPPINGS, "provider", providers, lock=True) if providers else ()
        return KeysOfBatch({row[0]: _kept(row) for row in rows}, {(row[0], row[1]) for row in kept})

    def decide(self, state: KeysOfBatch, command: "KeyCommand", at: datetime) -> Decision:
        return command.apply(state, at)

    def save(self, db: Bulk, state: KeysOfBatch) -> None:
        # what was destroyed makes room for its successor
        db.update(DATA_KEYS, "id", [state.keys[id].row for id in sorted(state.changed.keys() - set(state.fresh))])
        db.insert(DATA_KEYS, [state.keys[id].row for id in state.fresh])
        db.insert(WRAPPINGS, state.added)


STORE = KeyStore()


@dataclass(frozen=True, slots=True, kw_only=True)
class AddDataKey:
    """Keep a data key for its subject, unless it has a living one; the result is the one that it has then."""

    key: KeptKey
    entry: Entry | None = None
    store: KeyStore = STORE

    def apply(self, state: KeysOfBatch, at: datetime) -> Decision:
        has = state.living(self.key.subject)
        if has is None:
            key = self.key
            has = KeptKey(key.id, key.subject, key.wrapped, key.provider, key.key_id, at)
            state.keys[has.id] = has
            state.fresh.append(has.id)
        return Decision(result=has)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapDataKeys:
    """Keep data keys as they are wrapped now, except those destroyed meanwhile; the result counts."""

    keys: Sequence[KeptKey]
    entry: Entry | None = None
    store: KeyStore = STORE

    def apply(self, state: KeysOfBatch, at: datetime) -> Decision:
        count = 0
        for key in self.keys:
            has = state.keys.get(key.id)
            if has is not None and has.destroyed_at is None:
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
class AddKeyEncryptionKey:
    """Make a key of a provider its current one, unless the number is taken; the result says whether it is."""

    provider: str
    number: int
    key_id: str
    entry: Entry | None
    store: KeyStore = STORE

    def apply(self, state: KeysOfBatch, at: datetime) -> Decision:
        place = (self.provider, self.number)
        if is_free := place not in state.wrappings:
            state.wrappings.add(place)
            state.added.append((self.provider, self.number, self.key_id, at, None))
        return Decision(
            result=is_free, details={"provider": self.provider, "key_encryption_key": self.key_id, "added": is_free}
        )


KeyCommand = AddDataKey | WrapDataKeys | DestroyDataKeys | AddKeyEncryptionKey


def destroyed(db: Bulk, ids: Iterable[str]) -> set[str]:
    """Those data keys that are destroyed, or never were; the others stay as they are until the transaction ends."""
    wanted = set(ids)
    return wanted - {row[0] for row in db.select(LIVES, "id", wanted, lock=True) if row[1] is None}


def _kept(row: Row) -> KeptKey:
    values = list(row)
    values[2] = bytes(values[2])
    return KeptKey(*values)
