"""Who may no longer be connected is cut within a second, on every node (quality 16; contract §5, §6)."""

import asyncio
import itertools
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

import jwt
import pytest
from websockets.exceptions import InvalidStatus

from tests.stack.answers import Refused
from tests.stack.cluster import Cluster
from tests.stack.refusals import refuses
from tests.stack.rest import Rest
from tests.stack.sockets import Closed
from tests.stack.sse import follow
from tests.stack.waiting import PATIENCE, eventually, in_time

CUT_SECONDS = 1.2

Ending = Callable[[Rest, str, dict[str, str]], Awaitable[None]]


async def suspend(admin: Rest, session: str, pair: dict[str, str]) -> None:
    await admin.call("sessions/suspend", session=session)


async def close(admin: Rest, session: str, pair: dict[str, str]) -> None:
    await admin.call("sessions/close", session=session)


async def revoke(admin: Rest, session: str, pair: dict[str, str]) -> None:
    await admin.call("auth/revoke", refresh=pair["refresh"])


@pytest.mark.parametrize(
    ("ending", "code", "state"),
    [(suspend, 4403, "suspended"), (close, 4403, "terminating"), (revoke, 4401, None)],
    ids=["suspended", "closed", "revoked"],
)
async def test_sockets_and_streams_are_cut_on_every_node(
    stack: Cluster, ending: Ending, code: int, state: str | None
) -> None:
    async def end() -> float:
        tree = stack.tree()
        tokens = stack.login("alice")
        access = tokens["access"]
        nodes = range(len(stack.nodes))
        async with AsyncExitStack() as open_until_the_end:
            enter = open_until_the_end.enter_async_context
            admin = await enter(stack.rest("admin"))
            clients = [await enter(stack.rest(token=access, node=node)) for node in nodes]
            session = (await clients[0].call("resources/list")).headers["session-id"]
            sockets = [await enter(await stack.socket(token=access, node=node)) for node in nodes]
            for socket in sockets:
                await socket.subscribe(f"{tree}*")
            streams = [await enter(follow(client, uri=f"{tree}*")) for client in clients]
            witness = await enter(await stack.socket("bob"))

            started = time.monotonic()
            await ending(admin, session, tokens)
            codes = await asyncio.gather(*(socket.end() for socket in sockets))
            await asyncio.gather(*(stream.end() for stream in streams))
            took = time.monotonic() - started
            assert codes == [code] * len(sockets)
            if state is not None:
                for socket in sockets:
                    assert (await socket.notice("session", 0))["state"] == state
            assert (await witness.call("ping")).result == {}
            return took

    await in_time(end, CUT_SECONDS, "sockets and streams are cut")


async def test_a_suspended_session_cannot_connect_and_a_resumed_one_can(stack: Cluster) -> None:
    access = stack.login("alice")["access"]
    node = len(stack.nodes) - 1
    async with stack.rest("admin") as admin, stack.rest(token=access) as alice:
        session = (await alice.call("resources/list")).headers["session-id"]

        async def is_refused() -> bool:
            return (await alice.request("GET", "resources")).status_code == 403

        async def connects() -> bool:
            try:
                async with await stack.socket(token=access, node=node) as socket:
                    return (await socket.call("resources/list")).result is not None
            except (Closed, InvalidStatus):
                return False

        async def suspend_and_resume() -> float:
            await admin.call("sessions/suspend", session=session)
            suspended = time.monotonic()
            await eventually(is_refused, PATIENCE, "the session is refused")
            took = time.monotonic() - suspended
            with refuses("forbidden"):
                await alice.call("sessions/resume", session=session)
            await admin.call("sessions/resume", session=session)
            await eventually(connects, PATIENCE, "the session can connect again")
            return took

        await in_time(suspend_and_resume, 1, "the session is refused")


def expiry_of(token: str) -> float:
    return float(jwt.decode(token, options={"verify_signature": False})["exp"])


async def test_a_token_that_expires_closes_its_socket(hasty: Cluster) -> None:
    """Not before, and not when a fresh token of the same caller is given in time."""

    async def expire() -> float:
        pair = hasty.login("alice")
        async with AsyncExitStack() as open_until_the_end:
            enter = open_until_the_end.enter_async_context
            try:
                left_alone = await enter(await hasty.socket(token=pair["access"]))
                renewed = await enter(await hasty.socket(token=pair["access"]))
                # as much later as its expiry is told in whole seconds
                await asyncio.sleep(1)
                fresh = await renewed.call("auth/refresh", refresh=pair["refresh"])
                await renewed.call("auth/authenticate", token=fresh["access"])
            except (Closed, InvalidStatus):
                # so slow is this machine
                assert time.time() >= expiry_of(pair["access"])
                return math.inf
            lags = []
            for socket, token in ((left_alone, pair["access"]), (renewed, fresh["access"])):
                assert await socket.end() == 4401
                lags.append(time.time() - expiry_of(token))
            assert min(lags) >= 0
            return max(lags)

    await in_time(expire, CUT_SECONDS, "the sockets are closed")


async def test_ending_a_session_releases_its_subscriptions(stack: Cluster) -> None:
    access = stack.login("alice")["access"]
    async with stack.rest(token=access) as alice, stack.rest("alice") as other:
        session = (await other.call("sessions/create"))["id"]
        named = {"Session-Id": session}
        subscription = (await other.call("subscriptions/create", named, uri=f"{stack.tree()}*"))["id"]
        assert (await alice.call("subscriptions/get", subscription=subscription))["id"] == subscription
        await other.call("sessions/close", session=session)

        async def is_released() -> bool:
            return (await alice.request("GET", f"subscriptions/{subscription}")).status_code == 404

        await eventually(is_released, 30, "the subscription is released")


@pytest.mark.parametrize("ending", ["revoked", "denied"])
async def test_followers_who_are_not_covered_any_more_are_cut_on_every_node(stack: Cluster, ending: str) -> None:
    names = map(f"dora-{ending}-{stack.kind[:6]}{{}}".format, itertools.count(1))
    await in_time(lambda: uncover(stack, next(names), ending), CUT_SECONDS, "followers are cut")


async def uncover(stack: Cluster, name: str, ending: str) -> float:
    """Seconds until all followers of a user are cut whose rule is revoked, or denied a part."""
    tree = stack.tree()
    stack.add_users(name)
    nodes = range(len(stack.nodes))
    async with AsyncExitStack() as open_until_the_end:
        enter = open_until_the_end.enter_async_context
        admin = await enter(stack.rest("admin"))
        whom = {"user": name, "effect": "allow", "verbs": ["read", "subscribe"]}
        await admin.call("access/grant", **whom, pattern=f"{tree}kept/*")
        rule = await admin.call("access/grant", **whom, pattern=f"{tree}*")
        clients = [await enter(stack.rest(name, node=node)) for node in nodes]
        for client in clients:
            await eventually(partial(sees, client, tree), 30, "every node knows of the grant")
        sockets = [await enter(await stack.socket(name, node=node)) for node in nodes]
        going = [await socket.subscribe(f"{tree}*") for socket in sockets]
        staying = [await socket.subscribe(f"{tree}kept/+") for socket in sockets]
        streams = [await enter(follow(client, uri=f"{tree}*")) for client in clients]
        kept = [await enter(follow(client, uri=f"{tree}kept/*")) for client in clients]

        if ending == "revoked":
            await admin.call("access/revoke", rule=rule["id"])
        else:
            await admin.call("access/grant", **whom | {"effect": "deny"}, pattern=f"{tree}secret")
        at = time.monotonic()
        for socket, followed in zip(sockets, going, strict=True):
            told = await socket.notice("unsubscribed")
            assert (told["subscription"], told["code"]) == (followed.id, "forbidden")
        await asyncio.gather(*(stream.end() for stream in streams))
        took = time.monotonic() - at

        await admin.call("resources/write", uri=f"{tree}secret", content=1)
        await admin.call("resources/write", uri=f"{tree}kept/a", content=1)
        for followed in staying:
            await followed.count(1)
        for stream in kept:
            await stream.count(1)
        assert [followed.events for followed in going] == [[] for _ in nodes]
        assert [stream.events for stream in streams] == [[] for _ in nodes]
        for client in clients:
            with refuses("resource_not_found"):
                await client.call("resources/read", uri=f"{tree}secret")
        return took


async def sees(client: Rest, tree: str) -> bool:
    """Whether a caller may follow a tree, on the node that it asks."""
    try:
        await client.call("subscriptions/create", uri=f"{tree}*")
    except Refused:
        return False
    return True
