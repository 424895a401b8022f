"""The life of a session (contract §6)."""

import asyncio
import time
import uuid

import pytest

from tests.contract.conftest import JSON, Client, Opening
from tests.stack.cluster import Cluster
from tests.stack.refusals import refuses
from tests.stack.waiting import PATIENCE, eventually, in_time

FIELDS = {
    *("id", "user", "state", "reason", "client_id", "label", "metadata", "backend"),
    *("created_at", "last_active_at", "offset"),
}


@pytest.fixture(params=["database", "cache"])
async def session(request: pytest.FixtureRequest, alice: Client) -> str:
    """An active session of Alice's, on either storage."""
    created = await alice.call("sessions/create", label="test", metadata={"a": 1}, backend=request.param)
    assert created.result.keys() >= FIELDS
    assert (created["state"], created["backend"], created["label"]) == ("active", request.param, "test")
    identity: str = created["id"]
    return identity


async def test_a_session_is_found_changed_and_closed(alice: Client, session: str) -> None:
    updated = await alice.call("sessions/update", session=session, label="other")
    assert updated["label"] == "other"
    assert (await alice.call("sessions/get", session=session))["label"] == "other"
    await alice.call("sessions/close", session=session)
    for method in ("sessions/get", "sessions/close", "sessions/update"):
        with refuses("resource_not_found"):
            await alice.call(method, session=session)


async def test_an_admin_suspends_and_resumes(alice: Client, admin: Client, session: str) -> None:
    suspended = await admin.call("sessions/suspend", session=session)
    assert (suspended["state"], suspended["reason"]) == ("suspended", "admin")
    with refuses("illegal_transition"):
        await admin.call("sessions/suspend", session=session)
    with refuses("forbidden"):
        await alice.call("sessions/resume", session=session)
    assert (await admin.call("sessions/resume", session=session))["state"] == "active"
    with refuses("illegal_transition"):
        await admin.call("sessions/resume", session=session)


async def test_a_suspended_session_can_be_closed(admin: Client, session: str) -> None:
    await admin.call("sessions/suspend", session=session)
    await admin.call("sessions/close", session=session)
    for method in ("sessions/suspend", "sessions/resume", "sessions/close"):
        with refuses("resource_not_found"):
            await admin.call(method, session=session)


async def test_a_user_may_not_suspend(alice: Client, session: str) -> None:
    with refuses("forbidden"):
        await alice.call("sessions/suspend", session=session)


async def test_only_ones_own_sessions_are_listed_but_an_admin_sees_all(
    opened: Opening, alice: Client, admin: Client
) -> None:
    mine = (await alice.call("sessions/create"))["id"]
    async with opened("bob") as bob:
        listed = (await bob.call("sessions/list", limit=1000))["sessions"]
        assert mine not in [item["id"] for item in listed]
        assert listed and {item["user"] for item in listed} == {"bob"}
    assert mine in [item["id"] for item in (await alice.call("sessions/list", limit=1000))["sessions"]]
    assert mine in [item["id"] for item in (await admin.call("sessions/list", limit=1000))["sessions"]]


async def test_a_session_that_is_not_there(alice: Client) -> None:
    for identity in (str(uuid.uuid4()), "nonsense", "' OR 1=1"):
        with refuses("resource_not_found"):
            await alice.call("sessions/get", session=identity)


@JSON
@pytest.mark.parametrize("params", [{"backend": "tape"}, {"metadata": 7}, {"label": "x" * 5000}, {"label": {"a": 1}}])
async def test_a_session_that_makes_no_sense_is_refused(alice: Client, params: dict) -> None:
    with refuses("invalid_params"):
        await alice.call("sessions/create", **params)


async def test_requests_go_to_the_session_that_they_name(stack: Cluster) -> None:
    async with stack.rest("alice") as alice, stack.rest("bob") as bob, stack.rest("admin") as admin:
        own = (await alice.call("resources/list")).headers["session-id"]
        other = (await alice.call("sessions/create"))["id"]
        assert (await alice.call("resources/list")).headers["session-id"] == own
        with refuses("resource_not_found"):
            await bob.call("resources/list", {"Session-Id": other})

        async def becomes(status: int, session: str) -> float:
            """How many seconds it takes until requests to the session are answered so."""
            began = time.monotonic()

            async def is_answered_so() -> bool:
                response = await alice.request("GET", "resources", headers={"Session-Id": session})
                return response.status_code == status

            await eventually(is_answered_so, PATIENCE, f"requests to the session are answered with {status}")
            return time.monotonic() - began

        async def end_a_session() -> float:
            ended = (await alice.call("sessions/create"))["id"]
            named = {"Session-Id": ended}
            assert (await alice.call("resources/list", named)).headers["session-id"] == ended
            await admin.call("sessions/suspend", session=ended)
            suspended = await becomes(403, ended)
            assert (await alice.call("resources/list")).status == 200
            await admin.call("sessions/resume", session=ended)
            resumed = await becomes(200, ended)
            await alice.call("sessions/close", session=ended)
            return max(suspended, resumed, await becomes(404, ended))

        await in_time(end_a_session, 1.0, "a session is suspended, resumed and closed")


async def test_parallel_first_requests_make_one_session(stack: Cluster) -> None:
    pair = stack.login("alice")
    clients = [stack.rest(token=pair["access"], node=n % len(stack.nodes)) for n in range(6)]
    answers = await asyncio.gather(*(client.call("resources/list") for client in clients))
    await asyncio.gather(*(client.http.aclose() for client in clients))
    assert len({answer.headers["session-id"] for answer in answers}) == 1
