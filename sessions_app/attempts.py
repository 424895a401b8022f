"""Guessing passwords and codes: how many logins may fail, from one address and of one name (docs/limits.md).

The same holds for the API and for the admin, whether or not a user has the name. A name has a bucket of its own at each
network from which it has logged in before, and one for all other networks together: guesses that come from everywhere
empty that one, and its owner, who comes from where the owner came from before, is not locked out by them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256

from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import cache

from audit_app.breaker import PartAway
from audit_app.database import in_database
from sessions_app.limits import attempt, attempt_of_address, network_of
from sessions_app.shared import breaker

NAME = "name"
KNOWN_SECONDS = 30 * 86400
"""For how long the cache keeps from where a name has logged in; then that network is one of the others again."""


@asynccontextmanager
async def login_attempt(username: str, address: str) -> AsyncIterator[None]:
    """Around a login: it counts as failed until it has succeeded, so that many at once do not get around the limits.

    Raises RateLimited after too many that failed, from the address or of the name. Only what raises Unauthenticated has
    failed.
    """
    name = User.normalize_username(username)
    here = _key(name, network_of(address))
    async with attempt_of_address(address):
        whose = here if await in_database(_is_known, here) else _key(name)
        async with attempt(NAME, settings.LOGIN_LOCKOUT, whose):
            yield
        await in_database(_make_known, here)


def _is_known(key: str) -> bool:
    try:
        with breaker.guard():
            return cache.get(key) is not None
    except PartAway:
        return False


def _make_known(key: str) -> None:
    try:
        with breaker.guard():
            cache.set(key, 1, KNOWN_SECONDS)
    except PartAway:
        # its next login is counted with those from everywhere
        return


def _key(*parts: str) -> str:
    """A short key that nobody reads a name from; no name and no network has a NUL in it."""
    return f"login:{sha256(chr(0).join(parts).encode(errors='replace')).hexdigest()}"
