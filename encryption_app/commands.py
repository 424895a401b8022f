"""What is done to keys: data keys are added, wrapped anew and destroyed, key-encryption keys come and go."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from audit_app.commands import Decision, Event
from audit_app.errors import Again
from audit_app.trail import Entry
from encryption_app.errors import KeyInUse
from encryption_app.key_rows import KeptKey, Wrapping
from encryption_app.store import KeyCommand, KeysOfBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class AddDataKey(KeyCommand):
    """Keep a data key for its subject, unless it has a living one; the result is the one that it has then.

    Raises Again when what it is wrapped by is destroyed.
    """

    key: KeptKey
    entry: Entry | None = None

    @property
    def providers(self) -> Iterable[str]:
        return (self.key.provider,)

    @property
    def subjects(self) -> Iterable[str]:
        return (self.key.subject,)

    def apply(self, state: KeysOfBatch, at: datetime) -> Decision:
        wrapping = state.wrapping(self.key.provider, self.key.key_id)
        if wrapping is None or wrapping.destroyed_at is not None:
            raise Again("The key-encryption key was destroyed in this moment.")
        has = state.living(self.key.subject)
        if has is None:
            key = self.key
            has = KeptKey(key.id, key.subject, key.wrapped, key.provider, key.key_id, at)
            state.keys[has.id] = has
            state.fresh.append(has.id)
        return Decision(result=has)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapDataKeys(KeyCommand):
    """Keep data keys as they are wrapped now; the result counts.

    Except those that were destroyed meanwhile, and those whose new wrapping was.
    """

    keys: Sequence[KeptKey]
    entry: Entry | None = None

    @property
    def providers(self) -> Iterable[str]:
        return {key.provider for key in self.keys}

    @property
    def touched(self) -> Iterable[str]:
        return (key.id for key in self.keys)

    def apply(self, state: KeysOfBatch, at: datetime) -> Decision:
        count = 0
        for key in self.keys:
            has, wrapping = state.keys.get(key.id), state.wrapping(key.provider, key.key_id)
            is_wrapped = wrapping is not None and wrapping.destroyed_at is None
            if has is not None and has.destroyed_at is None and is_wrapped:
                count += 1
                state.changed[key.id] = None
                state.keys[key.id] = KeptKey(key.id, has.subject, key.wrapped, key.provider, key.key_id, has.created_at)
        return Decision(result=count)


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyDataKeys(KeyCommand):
    """Destroy data keys: what they have sealed cannot be opened again. `told` makes the event of each. Counts."""

    ids: Sequence[str]
    told: Callable[[KeptKey], Event]

    @property
    def touched(self) -> Iterable[str]:
        return self.ids

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
class OfKeyEncryptionKey(KeyCommand):
    """What a command says that is about one key-encryption key of a provider."""

    provider: str
    key_id: str

    @property
    def providers(self) -> Iterable[str]:
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
            state.wrappings[place] = Wrapping(None, self.provider, self.number, self.key_id, at)
            state.added.append(place)
        return Decision(result=is_free, details={**self.details, "added": is_free})


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyKeyEncryptionKey(OfKeyEncryptionKey):
    """Have a key-encryption key count as destroyed, before its provider destroys it.

    Raises KeyInUse for the current one, and while a living data key is wrapped by it.
    """

    @property
    def ending(self) -> Iterable[str]:
        return (self.key_id,)

    def apply(self, state: KeysOfBatch, at: datetime) -> Decision:
        wrapping = state.wrapping(self.provider, self.key_id)
        if wrapping is None:
            raise KeyInUse("There is no such key-encryption key.")
        if wrapping.destroyed_at is None:
            if state.is_current(wrapping):
                raise KeyInUse("It wraps what is new: rotate first.")
            wrapped = sum(
                key.destroyed_at is None and (key.provider, key.key_id) == (self.provider, self.key_id)
                for key in state.keys.values()
            )
            if wrapped:
                raise KeyInUse(f"It wraps {wrapped} data keys: re-encrypt first.", data_keys=wrapped)
            place = (wrapping.provider, wrapping.number)
            state.wrappings[place] = replace(wrapping, destroyed_at=at)
            state.ended.append(place)
        return Decision(details=self.details)
