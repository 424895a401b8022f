"""How often a caller or an address may ask, in this process (contract §1: the settings RATE_LIMIT_*)."""

import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from django.conf import settings

from sessions_app.errors import RateLimited, Unauthenticated


class Rate(Protocol):
    """At most `amount` in any `seconds`."""

    @property
    def amount(self) -> int: ...
    @property
    def seconds(self) -> int: ...


class Window:
    """Counts in fixed windows of time; what was counted in a window is forgotten with it.

    Not the library `limits`: its memory storage starts a thread for each window, which costs more than the counting.
    """

    def __init__(self) -> None:
        self._number = 0
        self._counts: Counter[str] = Counter()

    def count(self, rate: Rate, whom: str) -> None:
        """Count one. Raises RateLimited, with the seconds until the next window, when that is one too many."""
        self.check(rate, whom)
        self._counts[whom] += 1

    def check(self, rate: Rate, whom: str, pending: int = 0) -> None:
        """Count nothing. Raises RateLimited when there is no room for one more than the `pending` ones."""
        now = time.time()
        number = int(now // rate.seconds)
        if number != self._number:
            self._number = number
            self._counts.clear()
        if self._counts[whom] + pending >= rate.amount:
            wait = max(1, math.ceil((number + 1) * rate.seconds - now))
            raise RateLimited(retry_after=wait, limit=f"{rate.amount} in {rate.seconds} s")


_callers, _addresses, _logins = Window(), Window(), Window()
_attempts: Counter[str] = Counter()


def count_caller(user_id: str) -> None:
    """An authenticated request. Raises RateLimited."""
    _callers.count(settings.RATE_LIMIT_CALLER, user_id)


def count_address(address: str) -> None:
    """A request whose caller is not known. Raises RateLimited."""
    _addresses.count(settings.RATE_LIMIT_ADDRESS, address)


@contextmanager
def login_attempt(address: str) -> Iterator[None]:
    """Around a login: one that raises Unauthenticated counts as failed, and those that still run count as if they were.

    Raises RateLimited after too many that failed.
    """
    _logins.check(settings.RATE_LIMIT_LOGIN, address, _attempts[address])
    _attempts[address] += 1
    try:
        yield
    except Unauthenticated:
        _logins.count(settings.RATE_LIMIT_LOGIN, address)
        raise
    finally:
        _attempts[address] -= 1
        if not _attempts[address]:
            del _attempts[address]
