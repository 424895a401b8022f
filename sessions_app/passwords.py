"""Checking passwords, on threads of their own: a check costs half a second, and reads must not queue behind it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import User

from audit_app.database import in_database
from audit_app.errors import Unavailable
from sessions_app.errors import WrongLogin

THREADS = 2
MAX_CHECKS = 32

T = TypeVar("T")


class Checks:
    """The checks under way and those that wait for a thread; their number is bounded."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
        self._count = 0

    async def run(self, check: Callable[..., T], *args: object) -> T:
        """Run a check on a thread. Raises Unavailable when too many wait already."""
        if self._count >= MAX_CHECKS:
            raise Unavailable("Too many logins wait for their turn.")
        self._count += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, check, *args)
        finally:
            self._count -= 1


checks = Checks()


async def user_with(username: str, password: str) -> User:
    """The active user with this name and password.

    Raises WrongLogin, after as long for a user that does not exist as for a wrong password; Unavailable when too
    many logins wait already.
    """
    user = await in_database(_find, username)
    if user is None:
        await checks.run(make_password, password)
        raise WrongLogin()
    is_right = await checks.run(check_password, password, user.password)
    if not is_right or not user.is_active:
        raise WrongLogin()
    return user


def _find(username: str) -> User | None:
    return User.objects.filter(username=User.normalize_username(username)).first()
