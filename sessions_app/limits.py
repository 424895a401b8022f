"""How often a caller or an address may ask, in this process (contract §1: the settings RATE_LIMIT_*)."""

import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Protocol

from django.conf import settings
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from sessions_app.errors import RateLimited, Unauthenticated


class Rate(Protocol):
    """At most `amount` in any `seconds`."""

    @property
    def amount(self) -> int: ...
    @property
    def seconds(self) -> int: ...


class Limits:
    """Counts in windows, by what is counted and for whom."""

    def __init__(self) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def count(self, rate: Rate, what: str, whom: str) -> None:
        """Count one. Raises RateLimited, with the seconds until the next window, when that is one too many."""
        item = _item(rate.amount, rate.seconds)
        if not self._limiter.hit(item, what, whom):
            raise self._refusal(item, what, whom)

    def check(self, rate: Rate, what: str, whom: str, pending: int) -> None:
        """Count nothing. Raises RateLimited when there is no room for one more than the `pending` ones."""
        item = _item(rate.amount, rate.seconds)
        if self._limiter.get_window_stats(item, what, whom).remaining <= pending:
            raise self._refusal(item, what, whom)

    def _refusal(self, item: RateLimitItemPerSecond, what: str, whom: str) -> RateLimited:
        resets_at = self._limiter.get_window_stats(item, what, whom).reset_time
        return RateLimited(retry_after=max(1, math.ceil(resets_at - time.time())), limit=str(item))


@lru_cache
def _item(amount: int, seconds: int) -> RateLimitItemPerSecond:
    return RateLimitItemPerSecond(amount, seconds)


_limits = Limits()
_attempts: Counter[str] = Counter()


def count_caller(user_id: str) -> None:
    """An authenticated request. Raises RateLimited."""
    _limits.count(settings.RATE_LIMIT_CALLER, "caller", user_id)


def count_address(address: str) -> None:
    """A request whose caller is not known. Raises RateLimited."""
    _limits.count(settings.RATE_LIMIT_ADDRESS, "address", address)


@contextmanager
def login_attempt(address: str) -> Iterator[None]:
    """Around a login: one that raises Unauthenticated counts as failed, and those that still run count as if they were.

    Raises RateLimited after too many that failed.
    """
    _limits.check(settings.RATE_LIMIT_LOGIN, "login", address, _attempts[address])
    _attempts[address] += 1
    try:
        yield
    except Unauthenticated:
        _limits.count(settings.RATE_LIMIT_LOGIN, "login", address)
        raise
    finally:
        _attempts[address] -= 1
        if not _attempts[address]:
            del _attempts[address]
