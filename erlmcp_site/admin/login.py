"""Logging in to the admin: after some failures, a user name is locked for the address that they came from.

An attempt counts before its password is looked at, so that of many guesses at once no more are tried than one after
the other. (django-axes looks first, counts what has failed later, by a read and a write, and brings tables and pages
that the writer knows nothing of.)
"""

import logging
import math
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.cache import cache
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.exceptions import ValidationError
from redis.exceptions import RedisError
from unfold.forms import AuthenticationForm

from audit_app.commands import Record
from audit_app.errors import Refusal
from audit_app.writer import writer
from erlmcp_site.admin.entries import address_of, entry_for
from sessions_app.buckets import Rate
from sessions_app.errors import Forbidden, RateLimited
from sessions_app.limits import network_of

MAX_COUNTED = 100_000

log = logging.getLogger(__name__)


class Lockout:
    """Counts attempts in this process, and in the cache that the nodes share while that can be had."""

    def __init__(self) -> None:
        self._own: BaseCache = LocMemCache("lockout", {"OPTIONS": {"MAX_ENTRIES": MAX_COUNTED}})

    def begin(self, username: str, address: str) -> None:
        """An attempt, which counts as failed until it has succeeded. Raises RateLimited when there were too many."""
        network = network_of(address)
        limits = ((network, settings.RATE_LIMIT_LOGIN), (f"{network} {username}", settings.ADMIN_LOCKOUT))
        for whom, rate in limits:
            if self._count(_key(whom), rate) > rate.amount:
                raise RateLimited(retry_after=rate.seconds, limit=f"{rate.amount} in {rate.seconds} s")

    def succeeded(self, username: str, address: str) -> None:
        """The attempt was none of a guesser: what was counted for this name is forgotten."""
        network = network_of(address)
        for counted in (self._own, cache):
            try:
                counted.delete(_key(f"{network} {username}"))
                counted.decr(_key(network))
            except (ValueError, RedisError):
                # it is over by itself, or with its time
                continue

    def _count(self, key: str, rate: Rate) -> int:
        number = _counted(self._own, key, rate.seconds)
        try:
            return max(number, _counted(cache, key, rate.seconds))
        except RedisError as error:
            log.warning("failed logins are counted by this process alone: %s", error)
            return number


lockout = Lockout()


class LoginForm(AuthenticationForm):
    """The admin's login; what it refuses is on record, by the signal of a failed login or here."""

    def clean(self) -> Any:
        username, address = self.cleaned_data.get("username"), address_of(self.request)
        if username is None or not self.cleaned_data.get("password"):
            return super().clean()
        try:
            lockout.begin(username, address)
        except RateLimited as refusal:
            self._record(username, refusal)
            minutes = math.ceil((refusal.retry_after or 60) / 60)
            raise ValidationError(
                f"Too many failed logins. Try again in {minutes} minute{'s' if minutes > 1 else ''}.", code="locked"
            ) from None
        try:
            cleaned = super().clean()
        except ValidationError:
            if self.get_user() is not None:
                # the password was right, but the admin is not for this user
                self._record(username, Forbidden())
            raise
        lockout.succeeded(username, address)
        return cleaned

    def _record(self, username: str, refusal: Refusal) -> None:
        writer.run(Record(entry=entry_for(self.request, "auth/login", "user", username[:150]), refusal=refusal))


admin.site.login_form = LoginForm


def _key(whom: str) -> str:
    return f"login:{sha256(whom.encode(errors='replace')).hexdigest()}"


def _counted(counted: BaseCache, key: str, seconds: int) -> int:
    """The number of this attempt since the first one, which is forgotten after some seconds."""
    counted.add(key, 0, seconds)
    try:
        number: int = counted.incr(key)
    except ValueError:
        # its time was over in between
        counted.set(key, 1, seconds)
        return 1
    if number == 1:
        # a Redis that dropped it in between has made one without an end
        counted.touch(key, seconds)
    return number
