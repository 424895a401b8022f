"""Checking passwords, on threads of their own: a check costs half a second, and reads must not queue behind it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import User

from audit_app.database import in_database
from sessions_app.errors import Unauthenticated

THREADS = 2

_executor = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")


async def user_with(username: str, password: str) -> User:
    """The active user with this name and password.

    Raises Unauthenticated, and takes as long over a user that does not exist as over a wrong password.
    """
    user = await in_database(_find, username)
    loop = asyncio.get_running_loop()
    if user is None:
        await loop.run_in_executor(_executor, make_password, password)
        raise _refused()
    is_right = await loop.run_in_executor(_executor, check_password, password, user.password)
    if not is_right or not user.is_active:
        raise _refused()
    return user


def _find(username: str) -> User | None:
    return User.objects.filter(username=User.normalize_username(username)).first()


def _refused() -> Unauthenticated:
    return Unauthenticated("The user name or the password is wrong.")
