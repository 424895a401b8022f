"""Token buckets: how often something may be done, in numbers alone (seed §12.2)."""

import math
from collections.abc import Hashable
from typing import NamedTuple, Protocol

from sessions_app.caches import Memory

MAX_BUCKETS = 65_536
"""How many a process keeps; beyond, the one used longest ago is forgotten, and would be full again soon anyway."""

EPSILON = 1e-6
"""Of a token: what sums of floats may be short of."""


class Rate(Protocol):
    """At most `amount` at once, and in the long run `amount` in `seconds`."""

    @property
    def amount(self) -> int: ...
    @property
    def seconds(self) -> int: ...


class Portion(NamedTuple):
    """A rate, or what one node has of another one."""

    amount: int
    seconds: int


def portion_of(rate: Rate, nodes: int) -> Portion:
    """What each of some nodes has of a rate; one at least, and then as much later the next."""
    if nodes > rate.amount:
        return Portion(1, math.ceil(rate.seconds * nodes / rate.amount))
    return Portion(rate.amount // nodes, rate.seconds)


class Quota(NamedTuple):
    """What a limit leaves to whoever has just asked: so many tokens, and in `wait` seconds the next."""

    limit: str
    amount: int
    seconds: int
    remaining: int
    wait: int


class Bucket:
    """The tokens of one caller or address under one limit. Times are monotonic seconds."""

    __slots__ = ("_at", "_tokens")

    def __init__(self, rate: Rate, now: float) -> None:
        self._tokens: float = rate.amount
        self._at = now

    def take(self, rate: Rate, cost: int, now: float) -> float:
        """Take `cost` tokens, which is at most the amount. Returns 0, or the seconds to wait when there are too few."""
        amount = rate.amount
        tokens = self._tokens
        if now > self._at:
            tokens += (now - self._at) * amount / rate.seconds
            self._at = now
        if tokens > amount:
            tokens = amount
        if tokens + EPSILON < cost:
            self._tokens = tokens
            return seconds_until(rate, cost - tokens)
        self._tokens = tokens - cost
        return 0.0

    def wait(self, rate: Rate, cost: int, now: float) -> float:
        """The seconds until there are so many tokens, which is at most the amount; 0 when there are. Takes none."""
        tokens = self._tokens + max(0.0, now - self._at) * rate.amount / rate.seconds
        return 0.0 if tokens + EPSILON >= cost else seconds_until(rate, cost - tokens)

    def give(self, rate: Rate, cost: int) -> None:
        """Put back what was taken and not used."""
        self._tokens = min(rate.amount, self._tokens + cost)

    @property
    def tokens(self) -> int:
        """How many there were when it was last asked."""
        return int(self._tokens + EPSILON)


class Buckets:
    """The buckets of this process; whoever has none yet has a full one."""

    def __init__(self, size: int = MAX_BUCKETS) -> None:
        self._buckets: Memory[Hashable, Bucket] = Memory(size)

    def __len__(self) -> int:
        return len(self._buckets)

    def of(self, key: Hashable, rate: Rate, now: float) -> Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = Bucket(rate, now)
            self._buckets.put(key, bucket)
        return bucket

    def wait(self, key: Hashable, rate: Rate, now: float) -> float:
        """The seconds until somebody has a token; 0 when there is one. Takes none."""
        bucket = self._buckets.get(key)
        return bucket.wait(rate, 1, now) if bucket is not None else 0.0

    def clear(self) -> None:
        self._buckets.clear()


def seconds_until(rate: Rate, missing: float) -> float:
    """How long it takes until so many tokens have come: milliseconds, rounded up, so that they are there then."""
    return math.ceil(missing * rate.seconds / rate.amount * 1000 + EPSILON) / 1000
