"""Guesses at one name are stopped wherever they come from, over the API and in the admin; its owner still logs in."""

import asyncio
import itertools

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from audit_app.models import OutboxEntry
from audit_app.queues import Queue
from erlmcp_site.environment import Rate
from sessions_app.actions.tokens import log_in
from sessions_app.attempts import login_attempt
from sessions_app.errors import RateLimited, Unauthenticated
from sessions_app.shared import breaker, get_session
from tests.pipeline.calls import code
from tests.sessions.conftest import PASSWORD, entry
from tests.sessions.test_methods import ask_from
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])

HERE = "192.0.2.77"
SECONDS = 3600

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def rates(users: dict[str, User], settings: Settings) -> None:
    """Three failures of a name in an hour, ten of an address; nobody has come from anywhere yet."""
    settings.LOGIN_LOCKOUT, settings.RATE_LIMIT_LOGIN = Rate(3, SECONDS), Rate(10, SECONDS)
    cache.clear()


def elsewhere() -> str:
    """An address that nobody has come from."""
    return f"2001:db8:0:{next(_numbers):x}::1"


async def fail(name: str, address: str) -> None:
    with pytest.raises(Unauthenticated):
        async with login_attempt(name, address):
            raise Unauthenticated()


async def succeed(name: str, address: str) -> None:
    async with login_attempt(name, address):
        pass


async def refusal(name: str, address: str) -> RateLimited:
    with pytest.raises(RateLimited) as refused:
        await succeed(name, address)
    return refused.value


async def test_guesses_from_everywhere_are_counted_together() -> None:
    for _ in range(3):
        await fail("alice", elsewhere())
    refused = await refusal("alice", elsewhere())
    assert refused.policy == "name"
    assert 0 < (refused.retry_after or 0) <= SECONDS / 3
    await succeed("bob", elsewhere())


async def test_who_comes_from_where_the_name_has_logged_in_is_not_locked_out_by_them() -> None:
    await succeed("alice", HERE)
    for _ in range(3):
        await fail("alice", elsewhere())
    assert await refusal("alice", elsewhere())
    for _ in range(5):
        await succeed("alice", HERE)


async def test_at_such_a_place_guesses_are_counted_as_well() -> None:
    await succeed("alice", HERE)
    for _ in range(3):
        await fail("alice", HERE)
    assert (await refusal("alice", HERE)).policy == "name"
    # elsewhere nobody has guessed
    await succeed("alice", elsewhere())


async def test_a_network_is_one_place() -> None:
    await succeed("alice", "2001:db8:77:1::1")
    for _ in range(3):
        await fail("alice", elsewhere())
    await succeed("alice", "2001:db8:77:1::2")
    assert await refusal("alice", "2001:db8:77:2::1")


async def test_logins_that_succeed_or_fail_for_another_reason_cost_nothing() -> None:
    for _ in range(5):
        await succeed("alice", elsewhere())
        with pytest.raises(ValueError, match="ours"):
            async with login_attempt("alice", elsewhere()):
                raise ValueError("ours")
    await fail("alice", elsewhere())


async def test_of_many_guesses_at_once_no_more_are_tried() -> None:
    outcomes = await asyncio.gather(*(fail("alice", elsewhere()) for _ in range(20)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [RateLimited] * 17


async def test_a_name_is_the_same_however_its_letters_are_coded() -> None:
    for spelling in ("caf\u00e9", "cafe\u0301", "\uff43afé"):
        await fail(spelling, elsewhere())
    assert await refusal("caf\u00e9", elsewhere())


async def test_while_the_cache_is_away_every_place_is_a_new_one(settings: Settings) -> None:
    await succeed("alice", HERE)
    before = settings.CACHES
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1",
            "OPTIONS": {"socket_connect_timeout": 1},
        }
    }
    for address in (HERE, elsewhere(), elsewhere()):
        await fail("alice", address)
    assert await refusal("alice", HERE)
    settings.CACHES = before
    wait_until(lambda: get_session("any") is None and not breaker.is_open, 30, "the cache is used again")


async def test_the_api_refuses_a_name_alike_whether_or_not_somebody_has_it(running: dict[str, User]) -> None:
    told = {}
    for name in ("alice", "nobody at all"):
        tries = [await ask_from(elsewhere(), "auth/login", username=name, password="wrong") for _ in range(4)]
        assert [code(reply) for reply in tries] == ["unauthenticated"] * 3 + ["rate_limited"]
        assert len({reply.refusal.message for reply in tries[:3] if reply.refusal}) == 1
        refused = tries[3].refusal
        assert isinstance(refused, RateLimited)
        assert 0 < (refused.retry_after or 0) <= SECONDS / 3
        told[name] = (refused.message, refused.data, refused.category)
    assert told["alice"] == told["nobody at all"]
    # the right password is not even looked at
    reply = await ask_from(elsewhere(), "auth/login", username="alice", password=PASSWORD)
    assert code(reply) == "rate_limited"


async def test_what_the_owner_has_goes_on_while_the_name_is_locked(running: dict[str, User]) -> None:
    pair = await log_in("alice", PASSWORD, entry)
    for _ in range(3):
        await fail("alice", elsewhere())
    assert await refusal("alice", elsewhere())
    assert code(await ask_from(elsewhere(), "sessions/list", pair.access)) is None
    assert code(await ask_from(elsewhere(), "auth/refresh", refresh=pair.refresh)) is None


def test_the_admin_and_the_api_count_together() -> None:
    for address in (elsewhere(), elsewhere()):
        Client(REMOTE_ADDR=address).post("/admin/login/", {"username": "root", "password": "wrong"})
    async_to_sync(fail)("root", elsewhere())
    answer = Client(REMOTE_ADDR=elsewhere()).post("/admin/login/", {"username": "root", "password": PASSWORD})
    assert answer.context["form"].non_field_errors() == ["Too many failed logins. Try again in 20 minutes."]
    assert async_to_sync(refusal)("root", elsewhere())
    queues = [queue for queue, text in OutboxEntry.objects.values_list("queue", "entry") if "rate_limited" in text]
    assert queues == [Queue.SECURITY]
