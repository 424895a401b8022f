"""How often a caller or an address may ask (contract §1: the settings RATE_LIMIT_*; docs/limits.md).

Every request is decided by this process's own bucket first, and with a Redis also by the one that all nodes share
(`leases.py`). Without Redis the own bucket holds alone. While Redis is away, each node lets through its portion of the
limit besides, by how many nodes there were: there is no moment without a limit, and together they keep it.
"""

import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import StrEnum
from ipaddress import IPv6Address, ip_address

from django.conf import settings

from sessions_app.buckets import Buckets, Quota, Rate, portion_of
from sessions_app.errors import RateLimited, Unauthenticated
from sessions_app.leases import Exhausted, SharedBuckets

CALLER, ADDRESS, LOGIN = "caller", "address", "login"
"""The limits that every deployment has, by name."""

IPV6_NETWORK_BITS = 64


class MethodClass(StrEnum):
    """What kind of work a method is, as far as limits go; the value names the class's own limit."""

    READS = "reads"
    CHANGES = "changes"
    STREAMS = "streams"


class Limits:
    """The limits of this process, shared with other nodes or not."""

    def __init__(self) -> None:
        self._buckets = Buckets()
        self._portions = Buckets()
        self._shared: SharedBuckets | None = None

    def start(self, shared: SharedBuckets) -> None:
        """Share limits with the other nodes, until `stop`."""
        self._shared = shared

    @property
    def nodes(self) -> int:
        """How many nodes decide together, or did before Redis went away; this one included."""
        return self._shared.nodes if self._shared is not None else 1

    async def stop(self) -> None:
        """Share no more."""
        shared, self._shared = self._shared, None
        if shared is not None:
            await shared.close()

    def forget(self) -> None:
        """Every bucket of this process is full again."""
        self._buckets.clear()
        self._portions.clear()

    async def take(
        self, limit: str, rate: Rate, whom: str, cost: int = 1, meanwhile: Callable[[], None] | None = None
    ) -> Quota:
        """Take tokens of somebody's bucket; a cost beyond the amount takes a full bucket. Raises RateLimited.

        Suspends only when Redis has to be asked, after a call to `meanwhile`, which may ask Redis for something, too.
        """
        key = f"{limit}:{whom}"
        amount = rate.amount
        if cost > amount:
            cost = amount
        now = time.monotonic()
        bucket = self._buckets.of(key, rate, now)
        wait = bucket.take(rate, cost, now)
        if wait:
            # the shared bucket was asked a little later than this one, and has its tokens as much later
            raise _refusal(limit, rate, max(wait, self._shared.wait(key, rate, cost)) if self._shared else wait)
        remaining = bucket.tokens
        if self._shared is not None:
            try:
                left = await self._shared.take(key, rate, cost, meanwhile)
                if left is None:
                    left = self._take_portion(key, rate, cost)
            except Exhausted as exhausted:
                bucket.give(rate, cost)
                raise _refusal(limit, rate, exhausted.wait) from None
            except BaseException:
                bucket.give(rate, cost)
                raise
            remaining = min(remaining, left)
        return Quota(limit, amount, rate.seconds, remaining, -(-rate.seconds // amount))

    def _take_portion(self, key: str, rate: Rate, cost: int) -> int:
        """Take tokens of this node's portion of a bucket, and return how many it has left. Raises Exhausted."""
        portion, now = portion_of(rate, self.nodes), time.monotonic()
        bucket = self._portions.of(key, portion, now)
        if wait := bucket.take(portion, min(cost, portion.amount), now):
            raise Exhausted(wait)
        return bucket.tokens

    def check(self, limit: str, rate: Rate, whom: str) -> None:
        """Raise RateLimited when somebody has no token now, as far as is known here; takes none, and asks nobody."""
        key = f"{limit}:{whom}"
        now = time.monotonic()
        wait = self._buckets.wait(key, rate, now)
        if self._shared is not None:
            wait = max(wait, self._shared.wait(key, rate, 1))
            if not self._shared.is_up:
                wait = max(wait, self._portions.wait(key, portion_of(rate, self.nodes), now))
        if wait > 0:
            raise _refusal(limit, rate, wait)

    def give(self, limit: str, rate: Rate, whom: str, cost: int = 1) -> None:
        """Put back what was taken and not used."""
        key = f"{limit}:{whom}"
        cost = min(cost, rate.amount)
        self._buckets.of(key, rate, time.monotonic()).give(rate, cost)
        if self._shared is None:
            return
        if self._shared.is_up:
            self._shared.give(key, rate, cost)
        else:
            portion = portion_of(rate, self.nodes)
            self._portions.of(key, portion, time.monotonic()).give(portion, min(cost, portion.amount))


limits = Limits()


async def count_caller(
    user_id: str, kind: MethodClass | None = None, cost: int = 1, meanwhile: Callable[[], None] | None = None
) -> tuple[Quota, ...]:
    """An authenticated request of a method of some class, None for one that names no method. Raises RateLimited.

    `meanwhile` is called where Redis has to be asked.
    """
    rate = settings.RATE_LIMIT_CALLER
    classes = settings.RATE_LIMIT_CLASSES
    own = classes.get(kind) if classes and kind else None
    if own is None or kind is None:
        return (await limits.take(CALLER, rate, user_id, cost, meanwhile),)
    of_class = await limits.take(kind, own, user_id, cost, meanwhile)
    try:
        return of_class, await limits.take(CALLER, rate, user_id, cost)
    except BaseException:
        limits.give(kind, own, user_id, cost)
        raise


async def count_address(address: str) -> tuple[Quota, ...]:
    """A request whose caller is not known. Raises RateLimited."""
    return (await limits.take(ADDRESS, settings.RATE_LIMIT_ADDRESS, network_of(address)),)


def check_address(address: str) -> None:
    """Before a token is verified: whoever has sent too many bad ones is refused without that. Raises RateLimited.

    A good token costs none, so however many clients share an address, they are let in as long as nobody there sends
    bad ones.
    """
    limits.check(ADDRESS, settings.RATE_LIMIT_ADDRESS, network_of(address))


@asynccontextmanager
async def attempt(policy: str, rate: Rate, whom: str) -> AsyncIterator[None]:
    """Around a login: it counts as failed until it has succeeded, so that many at once do not get around the limit.

    Raises RateLimited after too many that failed. Only what raises Unauthenticated has failed.
    """
    await limits.take(policy, rate, whom)
    try:
        yield
    except Unauthenticated:
        raise
    except BaseException:
        limits.give(policy, rate, whom)
        raise
    limits.give(policy, rate, whom)


def attempt_of_address(address: str) -> AbstractAsyncContextManager[None]:
    """The attempt at a login from an address."""
    return attempt(LOGIN, settings.RATE_LIMIT_LOGIN, network_of(address))


def network_of(address: str) -> str:
    """Who an address belongs to: itself, or the /64 of an IPv6 address, which one client has whole."""
    if ":" not in address:
        return address
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Address(int(parsed) >> IPV6_NETWORK_BITS << IPV6_NETWORK_BITS)) + f"/{IPV6_NETWORK_BITS}"


def _refusal(limit: str, rate: Rate, wait: float) -> RateLimited:
    quota = Quota(limit, rate.amount, rate.seconds, 0, max(1, math.ceil(wait)))
    text = f"{rate.amount} in {rate.seconds} s"
    retry_after = max(1, math.ceil(wait * 1000)) / 1000
    return RateLimited(retry_after=retry_after, limit=text, policy=limit, quotas=(quota,))
