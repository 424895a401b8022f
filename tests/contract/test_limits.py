"""Limits over every transport, on two nodes that share a Redis (contract §1, §7; quality 26)."""

import asyncio
import itertools
import math
import re
import time
from collections.abc import Iterator
from datetime import timedelta

import grpc
import httpx
import pytest
from google.rpc.error_details_pb2 import QuotaFailure, RetryInfo
from google.rpc.status_pb2 import Status
from websockets.exceptions import InvalidStatus

from tests.contract.conftest import Opening
from tests.stack.answers import Refused
from tests.stack.cluster import Cluster, running
from tests.stack.grpc_client import Grpc
from tests.stack.messages import request_of, rpc_of
from tests.stack.postgres_server import PostgresServer
from tests.stack.redis_server import RedisServer

CALLER, LOGIN = 50, 5
CHANGES, CHANGES_SECONDS = 2, 4

USERS = 14

_users = itertools.count()
_addresses = itertools.count(1)


@pytest.fixture(scope="module")
def stack(postgres: PostgresServer, mortal_redis: RedisServer) -> Iterator[Cluster]:
    """Two nodes with small limits; callers behind a proxy have addresses of their own."""
    environment = {
        "RATE_LIMIT_CALLER": f"{CALLER}/d",
        "RATE_LIMIT_CHANGES": f"{CHANGES}/{CHANGES_SECONDS}s",
        "RATE_LIMIT_LOGIN": f"{LOGIN}/d",
        "TRUSTED_PROXIES": "127.0.0.1",
    }
    with running("postgres+redis", postgres=postgres, redis=mortal_redis, nodes=2, environment=environment) as cluster:
        add_users(cluster)
        yield cluster


def add_users(cluster: Cluster) -> None:
    """Make writers for all tests in one go."""
    cluster.passwords |= {f"user{number}": f"user{number}-passes-here" for number in range(USERS)}
    cluster.nodes[0].manage(
        "shell",
        "-c",
        "from django.contrib.auth.models import Group, User\n"
        f"for number in range({USERS}):\n"
        "    user = User.objects.create_user(f'user{number}', password=f'user{number}-passes-here')\n"
        "    user.groups.add(Group.objects.get(name='user'))",
    )


@pytest.fixture
def user() -> str:
    """A writer who has not asked for anything yet."""
    return f"user{next(_users)}"


@pytest.fixture
def address() -> str:
    """An address that nobody has come from."""
    return f"192.0.2.{next(_addresses)}"


def tells(left: int, since: float) -> set[str]:
    """What an answer of now may tell of a limit that was whole at a time of this process."""
    return {f'"caller";r={left};t={1728 - gone}' for gone in range(math.ceil(time.monotonic() - since) + 1)}


@pytest.mark.parametrize("over", ["rest", "grpc"])
async def test_every_answer_tells_the_limit_and_what_it_leaves(stack: Cluster, user: str, over: str) -> None:
    async with stack.rest(user) if over == "rest" else stack.grpc(user) as client:
        began = time.monotonic()
        for left in (CALLER - 1, CALLER - 2):
            answer = await client.call("sessions/list")
            assert answer.headers["ratelimit-policy"] == f'"caller";q={CALLER};w=86400'
            assert answer.headers["ratelimit"] in tells(left, since=began)
        with pytest.raises(Refused) as missing:
            await client.call("resources/read", uri="resource://nowhere.local/a")
        assert missing.value.headers["ratelimit"] in tells(CALLER - 3, since=began)


async def test_a_stream_tells_what_the_limit_leaves_when_it_begins_or_is_refused(stack: Cluster, user: str) -> None:
    async with stack.grpc(user) as client:
        async with client.follow(uri="resource://nowhere.local/*") as stream:
            begun = dict(await stream.call.initial_metadata())
        assert begun["ratelimit"] == f'"caller";r={CALLER - 1};t=1728'
        await asyncio.gather(*(client.call("sessions/list") for _ in range(CALLER - 1)))
        with pytest.raises(Refused) as refused:
            async with client.follow(uri="resource://nowhere.local/*"):
                raise AssertionError("it must not begin")
    wait = int(refused.value.headers["retry-after"])
    assert 0 < wait <= 1728
    assert refused.value.headers["ratelimit"] == f'"caller";r=0;t={wait}'


async def test_a_limit_over_grpc_is_told_in_the_details_of_the_status(stack: Cluster, user: str) -> None:
    path, data = rpc_of("sessions/list"), request_of("sessions/list", {}).SerializeToString()
    async with stack.grpc(user) as client:
        await asyncio.gather(*(client.ask(path, data) for _ in range(CALLER)))
        call = client.channel.unary_unary(path)(data, metadata=tuple(client.metadata.items()))
        assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        trailing = dict(await call.trailing_metadata())
    quota, retry = QuotaFailure(), RetryInfo()
    status = Status.FromString(trailing["grpc-status-details-bin"])
    for message in (quota, retry):
        assert any(detail.Unpack(message) for detail in status.details), status
    (violation,) = quota.violations
    assert (violation.subject, violation.description) == ("caller", f"{CALLER} in 86400 s")
    assert retry.retry_delay.ToTimedelta() <= timedelta(seconds=int(trailing["retry-after"]))


async def test_200_in_parallel_on_two_nodes_are_let_through_up_to_the_limit(stack: Cluster, user: str) -> None:
    async with stack.rest(user, 0) as one, stack.rest(user, 1) as two:
        answers = await asyncio.gather(*((one, two)[number % 2].request("GET", "sessions") for number in range(200)))
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(200), statuses.count(429)) == (CALLER, 200 - CALLER)
    for refused in (answer for answer in answers if answer.status_code == 429):
        wait = int(refused.headers["retry-after"])
        assert 0 < wait <= 1728
        assert refused.headers["ratelimit"] == f'"caller";r=0;t={wait}'
        assert (refused.json()["policy"], refused.json()["category"]) == ("caller", "retryable")
        assert 0 < refused.json()["retry_after"] <= wait


async def test_transports_and_nodes_count_together(stack: Cluster, user: str) -> None:
    async with stack.rest(user, 0) as rest, await stack.socket(user, 1) as socket:
        # the handshake has cost one
        over_socket = await asyncio.gather(*(socket.start("sessions/list") for _ in range(20)), return_exceptions=True)
        assert not [one for one in over_socket if isinstance(one, BaseException)]
        over_rest = [(await rest.request("GET", "sessions")).status_code for _ in range(CALLER - 21 + 3)]
        assert over_rest == [200] * (CALLER - 21) + [429] * 3
        with pytest.raises(Refused) as refused:
            await socket.call("sessions/list")
    assert (refused.value.code, refused.value.number) == ("rate_limited", -32029)
    assert 0 < refused.value.data["retry_after"] <= 1728
    assert refused.value.data["policy"] == "caller"
    with pytest.raises(InvalidStatus) as denied:
        await stack.socket(user, 0)
    assert denied.value.response.status_code == 429
    assert re.fullmatch(r'"caller";r=0;t=\d+', denied.value.response.headers["ratelimit"])
    async with stack.grpc(user, 1) as client:
        with pytest.raises(Refused) as refused:
            await client.call("sessions/list")
    assert (refused.value.code, refused.value.data["policy"]) == ("rate_limited", "caller")
    async with stack.rest(user, 1) as rest:
        stream = await rest.request("GET", "events/stream?uri=resource://nowhere.local/*")
    assert stream.status_code == 429


async def test_whoever_waits_as_told_is_let_through(opened: Opening, tree: str, user: str) -> None:
    async with opened(user) as client:
        with pytest.raises(Refused) as refused:
            for number in range(40):
                await client.call("resources/write", uri=f"{tree}{number}", content=number)
        assert (refused.value.code, refused.value.data["policy"]) == ("rate_limited", "changes")
        await client.call("sessions/list")
        await asyncio.sleep(float(refused.value.headers.get("retry-after", refused.value.data["retry_after"])))
        await client.call("resources/write", uri=f"{tree}again", content=1)


async def test_a_batch_costs_its_operations(opened: Opening, tree: str, user: str) -> None:
    operations = [
        {"method": "resources/write", "params": {"uri": f"{tree}{number}", "content": number}} for number in range(45)
    ]
    let_through = 0
    async with opened(user) as client:
        await client.call("resources/batch", operations=operations)
        with pytest.raises(Refused) as refused:
            while let_through < CALLER:
                await client.call("sessions/list")
                let_through += 1
    assert refused.value.data["policy"] == "caller"
    # opening a socket costs one
    assert CALLER - 45 - 1 <= let_through <= CALLER - 45


async def test_of_many_logins_that_fail_the_limit_is_tried(stack: Cluster, address: str) -> None:
    async with stack.rest(node=0) as one, stack.rest(node=1) as two:

        async def attempt(number: int, password: str = "wrong") -> httpx.Response:
            return await (one, two)[number % 2].request(
                "POST",
                "auth/login",
                json={"username": "alice", "password": password},
                headers={"X-Forwarded-For": address},
            )

        for number in range(LOGIN + 2):
            assert (await attempt(number, stack.passwords["alice"])).status_code == 200
        statuses = [answer.status_code for answer in await asyncio.gather(*map(attempt, range(40)))]
        assert (statuses.count(401), statuses.count(429)) == (LOGIN, 40 - LOGIN)
        refused = await attempt(0, stack.passwords["alice"])
        assert refused.status_code == 429
        assert refused.json()["policy"] == "login"


async def test_a_caller_over_grpc_has_the_address_that_a_trusted_proxy_says(stack: Cluster, address: str) -> None:
    told = {"x-forwarded-for": f"198.51.100.7, {address}"}
    async with Grpc(stack.nodes[0].grpc_address, metadata=told, agent=address) as client:
        for _ in range(LOGIN):
            with pytest.raises(Refused) as wrong:
                await client.call("auth/login", username="alice", password="wrong")
            assert wrong.value.code == "unauthenticated"
        with pytest.raises(Refused) as refused:
            await client.call("auth/login", username="alice", password="wrong")
    assert (refused.value.code, refused.value.data["policy"]) == ("rate_limited", "login")
    assert {entry["source_ip"] for entry in stack.truth.entries_by(address)} == {address}


async def test_a_socket_that_goes_on_beyond_the_limit_is_closed(stack: Cluster, user: str) -> None:
    async with await stack.socket(user) as socket:
        calls = [socket.start("sessions/list") for _ in range(3000)]
        await asyncio.wait_for(socket.closed.wait(), 60)
        assert socket.code == 4429
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == CALLER - 1


async def test_while_redis_goes_away_each_node_holds_the_limit(
    stack: Cluster, user: str, mortal_redis: RedisServer
) -> None:
    async with stack.rest(user, 0) as one, stack.rest(user, 1) as two:
        asked = [asyncio.create_task((one, two)[number % 2].request("GET", "sessions")) for number in range(300)]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        mortal_redis.kill()
        statuses = [answer.status_code for answer in await asyncio.gather(*asked)]
    assert statuses.count(200) + statuses.count(429) == 300
    assert CALLER <= statuses.count(200) <= 2 * CALLER
