"""A key under which a client wants its request to have one effect, however often it is asked (contract §3)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.utils.crypto import salted_hmac

SALT = "erlmcp answers that are encrypted"


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

    @property
    def sealed_fingerprint(self) -> str:
        """What stands for `fingerprint` where the answer is kept encrypted.

        Whoever has the database and not SECRET_KEY makes neither of the other, so no answer becomes a plain one.
        """
        return salted_hmac(SALT, self.fingerprint, algorithm="sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class Answer:
    """What is kept of an answer; `is_sealed` says that it was kept encrypted, whatever `content` is now."""

    content: bytes
    is_sealed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """What is to be done once under a key.

    `answer` makes the bytes that are kept, of the result of the command; it is called in the transaction, once events
    have their offsets. `is_sealed`: it encrypts them.
    """

    key: Key
    answer: Callable[[Any], bytes]
    is_sealed: bool = False

    @property
    def fingerprint(self) -> str:
        """What is kept beside the answer."""
        return self.key.sealed_fingerprint if self.is_sealed else self.key.fingerprint


class Replayed(Exception):
    """The request was done before; `answer` is what was answered then."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("done before")
        self.answer = answer
