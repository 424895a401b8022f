"""The three queues of seed §6.2, and which entry goes to which (contract §8)."""

from enum import IntEnum


class Queue(IntEnum):
    """The three queues of seed §6.2."""

    SECURITY = 1
    DATA = 2
    SYSTEM = 3


SECURITY_FAMILIES = frozenset({"auth", "keys", "access", "sessions", "audit", "encryption"})
DATA_FAMILIES = frozenset({"resources", "subscriptions", "events"})
SECURITY_CODES = frozenset({"unauthenticated", "refresh_reused", "forbidden", "rate_limited"})


def family_of(action: str) -> str:
    """The family of a method: what stands before its slash."""
    return action.partition("/")[0]


def queue_of(action: str, code: str | None) -> Queue:
    """The queue of an entry: security by family of methods or by refusal, data, or system."""
    family = family_of(action)
    if code in SECURITY_CODES or family in SECURITY_FAMILIES:
        return Queue.SECURITY
    return Queue.DATA if family in DATA_FAMILIES else Queue.SYSTEM
