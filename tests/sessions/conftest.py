"""Users, tokens and a hub that follows the control stream, on the real writer and the test database."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from django.contrib.auth.models import Group, User
from pytest_django import Settings
from redis.asyncio import Redis

from audit_app.trail import Entry
from audit_app.writer import writer
from erlmcp_site.node import node
from erlmcp_site.pipeline.messages import Credentials
from resources_app.models import LogHead
from sessions_app.actions.tokens import TokenPair, log_in
from sessions_app.authentication import authenticate
from sessions_app.callers import Caller
from sessions_app.errors import Unauthenticated
from sessions_app.sessions import forget
from tests.sessions.outside_issuer import OutsideIssuer, outside_issuer, trust
from tests.stack.redis_server import RedisServer
from tests.stack.waiting import PATIENCE, eventually

PASSWORD = "correct horse"


def entry() -> Entry:
    return Entry(timestamp=time.time(), action="test", transport="system")


@pytest.fixture
def users(transactional_db: None, settings: Settings) -> Iterator[dict[str, User]]:
    """alice (role user), bob (viewer), root (superuser) and new (no groups), all with the same password."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    for stream in ("changes", "control"):
        LogHead.objects.get_or_create(stream=stream, defaults={"head": 0, "earliest": 1})
    made = {name: User.objects.create_user(name, password=PASSWORD) for name in ("alice", "bob", "new")}
    made["root"] = User.objects.create_superuser("root", password=PASSWORD)
    made["alice"].groups.add(Group.objects.get(name="user"))
    made["bob"].groups.add(Group.objects.get(name="viewer"))
    forget()
    yield made
    forget()
    writer.close()


@pytest.fixture
async def running(users: dict[str, User]) -> AsyncIterator[dict[str, User]]:
    """The same users, while this process follows the control stream as a node does."""
    await node.start()
    yield users
    await node.stop()


async def pair_of(name: str) -> TokenPair:
    return await log_in(name, PASSWORD, entry)


async def caller_of(name: str) -> Caller:
    return await caller_by((await pair_of(name)).access)


async def caller_by(token: str) -> Caller:
    """Whoever shows a token or an API key."""
    return await authenticate(Credentials(token=token))


async def is_refused(token: str) -> bool:
    try:
        await caller_by(token)
    except Unauthenticated:
        return True
    return False


async def ends_with_its_time(token_for: Callable[[int], Awaitable[str]]) -> None:
    """Wait until a token for some seconds, good at first, is refused; fails when that is before its time is over.

    On a machine that stands still, the first one may be over before it is looked at.
    """
    for seconds in (2, 10):
        token = await token_for(seconds)
        made_at = time.time()
        try:
            caller = await caller_by(token)
        except Unauthenticated:
            assert time.time() >= made_at + seconds - 1
            continue

        async def is_over(token: str = token) -> bool:
            return await is_refused(token)

        await eventually(is_over, PATIENCE, "the token is refused")
        assert time.time() >= caller.expires_at
        return
    raise AssertionError("no token was ever good")


@pytest.fixture(scope="module")
def server(mortal_redis: RedisServer) -> RedisServer:
    """The Redis of this module."""
    return mortal_redis


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    """The same as an operator sees it, empty."""
    client = Redis.from_url(server.url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture(scope="module")
def outside() -> Iterator[OutsideIssuer]:
    """An issuer that answers."""
    with outside_issuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(outside: OutsideIssuer, running: dict[str, User], settings: Settings) -> Iterator[OutsideIssuer]:
    """One that is trusted, and speaks for users that are there."""
    keys = dict(outside.keys)
    outside.asked.clear()
    trust(settings, outside)
    yield outside
    outside.keys, outside.extra, outside.status, outside.body = keys, [], 200, None
