"""Keys as the writer keeps them: loaded for a batch, decided by their commands, saved."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from audit_app.bulk import Bulk
from audit_app.commands import Decision, Store
from audit_app.trail import Entry
from encryption_app.key_rows import DATA_KEYS, ENDS, NEW_WRAPPINGS, WRAPPINGS, KeptKey, Wrapping, kept_key


@dataclass(slots=True)
class KeysOfBatch:
    """The data keys that a batch touches, by id, and the key-encryption keys of its providers.

    The latter are known, and those that are added or ended are named, by provider and number.
    """

    keys: dict[str, KeptKey]
    wrappings: dict[tuple[str, int], Wrapping]
    fresh: list[str] = field(default_factory=list)
    changed: dict[str, None] = field(default_factory=dict)
    added: list[tuple[str, int]] = field(default_factory=list)
    ended: list[tuple[str, int]] = field(default_factory=list)

    def living(self, subject: str) -> KeptKey | None:
        """The data key of a subject that is not destroyed."""
        for key in self.keys.values():
            if key.subject == subject and key.destroyed_at is None:
                return key
        return None

    def wrapping(self, provider: str, key_id: str) -> Wrapping | None:
        """The key-encryption key of an id."""
        for wrapping in self.wrappings.values():
            if (wrapping.provider, wrapping.key_id) == (provider, key_id):
                return wrapping
        return None

    def is_current(self, wrapping: Wrapping) -> bool:
        """Whether a key-encryption key wraps what is new."""
        others = (other for other in self.wrappings.values() if other.provider == wrapping.provider)
        living = [other.number for other in others if other.destroyed_at is None]
        return bool(living) and max(living) == wrapping.number


class EncryptionKeyStore(Store):
    """One store for data keys and for the names of key-encryption keys."""

    def load(self, db: Bulk, commands: Sequence["KeyCommand"]) -> KeysOfBatch:
        subjects = {subject for command in commands for subject in command.subjects}
        ids = {id for command in commands for id in command.touched}
        ended = {key_id for command in commands for key_id in command.ending}
        providers = {name for command in commands for name in command.providers}
        # first these: whoever adds a data key waits for whoever destroys what it is wrapped by
        kept = db.select(WRAPPINGS, "provider", providers, lock=True) if providers else ()
        rows = [*(db.select(DATA_KEYS, "subject", subjects, lock=True) if subjects else ())]
        rows += db.select(DATA_KEYS, "id", ids, lock=True) if ids else ()
        rows += db.select(DATA_KEYS, "key_id", ended) if ended else ()
        wrappings = [Wrapping(*row) for row in kept]
        return KeysOfBatch(
            {row[0]: kept_key(row) for row in rows}, {(one.provider, one.number): one for one in wrappings}
        )

    def decide(self, state: KeysOfBatch, command: "KeyCommand", at: datetime) -> Decision:
        return command.apply(state, at)

    def save(self, db: Bulk, state: KeysOfBatch) -> None:
        # what was destroyed makes room for its successor
        db.update(DATA_KEYS, "id", [state.keys[id].row for id in sorted(state.changed.keys() - set(state.fresh))])
        db.insert(DATA_KEYS, [state.keys[id].row for id in state.fresh])
        db.insert(NEW_WRAPPINGS, [state.wrappings[place].row for place in state.added])
        ended = (state.wrappings[place] for place in state.ended if place not in state.added)
        db.update(ENDS, "id", [(one.id, one.destroyed_at) for one in ended])


STORE = EncryptionKeyStore()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCommand(ABC):
    """A change of keys, and what the store has to load for it."""

    entry: Entry | None
    store: EncryptionKeyStore = STORE

    @property
    def providers(self) -> Iterable[str]:
        """The providers whose key-encryption keys it asks about."""
        return ()

    @property
    def subjects(self) -> Iterable[str]:
        """The subjects whose data keys it needs."""
        return ()

    @property
    def touched(self) -> Iterable[str]:
        """The data keys that it changes."""
        return ()

    @property
    def ending(self) -> Iterable[str]:
        """The key-encryption keys whose data keys it asks about."""
        return ()

    @abstractmethod
    def apply(self, state: KeysOfBatch, at: datetime) -> Decision:
        """Decide it, purely, and remember the outcome in `state`. Raises KeyInUse and Again."""
