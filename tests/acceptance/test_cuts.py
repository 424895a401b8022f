"""Who may no longer be connected is cut within a second, on every node (quality 16, 23; contract §5, §6)."""

import asyncio
import math
import time
from contextlib import AsyncExitStack
from functools import partial

import jwt
import pytest
from websockets.exceptions import InvalidStatus

from tests.scenarios.cuts import CUT_SECONDS, ENDINGS, end_a_session, expire, uncover
from tests.stack.cluster import Cluster
from tests.stack.door import Door
from tests.stack.gateway import Gateway
from tests.stack.refusals import refuses
from tests.stack.sockets import Closed
from tests.stack.waiting import PATIENCE, eventually, in_time


@pytest.mark.parametrize("ending", ENDINGS)
async def test_sockets_and_streams_of_a_session_are_cut(stack: Cluster, front_door: Door, ending: str) -> None:
    await in_time(partial(end_a_session, stack, front_door, ending), CUT_SECONDS, "sockets and streams are cut")


async def test_sockets_and_streams_are_cut_when_their_token_expires(pair: Cluster, haproxy: Gateway) -> None:
    """Not before."""
    await in_time(partial(expire, pair, haproxy), CUT_SECONDS, "sockets and streams are cut")


@pytest.mark.parametrize("ending", ["revoked", "denied"])
async def test_followers_who_are_not_covered_any_more_are_cut(stack: Cluster, front_door: Door, ending: str) -> None:
    await in_time(partial(uncover, stack, front_door, ending), CUT_SECONDS, "followers are cut")


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
