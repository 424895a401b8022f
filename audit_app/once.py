"""A key under which a client wants its request to have one effect, however often it is asked (contract §3)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An idempotency key of one caller; `fingerprint` tells the request that it stands for from every other."""

    caller: str
    name: str
    fingerprint: str

    @property
    def id(self) -> str:
        """Under which it is kept: nobody meets the keys of others."""
        return f"{self.caller}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """What is to be done once under a key.

    `answer` makes the bytes that are kept, of the result of the command; it is called in the transaction, once events
    have their offsets.
    """

    key: Key
    answer: Callable[[Any], bytes]


class Replayed(Exception):
    """The request was done before; `answer` is what was answered then."""

    def __init__(self, answer: bytes) -> None:
        super().__init__("done before")
        self.answer = answer
