"""What a step of re-encryption has come to: how far it is, how much it has changed, and what it had to pass by."""

from collections.abc import Sequence
from dataclasses import dataclass

from audit_app.errors import Refusal
from encryption_app.errors import KeysAway

NOT_AS_WRITTEN = "it is not what was written"


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that could not be re-encrypted: a "data key", "resource", "event" or "session", of whom, and why."""

    what: str
    subject: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One step: behind what the next one goes on (None: this was the last), how much was changed, what was not."""

    after: str | None
    count: int = 0
    failures: Sequence[Failure] = ()


def reason_of(refusal: Refusal) -> str:
    """Why something could not be done, for operators."""
    return refusal.why if isinstance(refusal, KeysAway) else NOT_AS_WRITTEN


def is_worth_waiting(refusal: Refusal) -> bool:
    """Whether a provider may have what it takes in a while. One that has answered that a key is not there has not."""
    return isinstance(refusal, KeysAway) and not refusal.is_lost
