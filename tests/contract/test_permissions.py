"""Who may do what, and what a refusal gives away (contract §2)."""

import pytest

from tests.contract.conftest import Client, Opening
from tests.stack.answers import Refused
from tests.stack.refusals import refuses


@pytest.fixture
async def uri(alice: Client, tree: str) -> str:
    await alice.call("resources/write", uri=f"{tree}a", content={"secret": 1})
    return f"{tree}a"


READS: dict[str, dict] = {"resources/read": {}, "resources/history": {}, "resources/diff": {"from": 1}}
CHANGES: dict[str, dict] = {
    "resources/write": {"content": 2},
    "resources/patch": {"patch": {"x": 1}},
    "resources/delete": {},
}


async def test_bob_reads_and_follows_but_changes_nothing(alice: Client, bob: Client, uri: str) -> None:
    assert (await bob.call("resources/read", uri=uri))["version"] == 1
    assert uri in [item["uri"] for item in (await bob.call("resources/list", prefix=uri))["resources"]]
    for method, params in CHANGES.items():
        with refuses("forbidden"):
            await bob.call(method, uri=uri, **params)
    with refuses("forbidden"):
        await bob.call("resources/create", uri=f"{uri}/new", content=1)
    assert (await alice.call("resources/read", uri=uri))["version"] == 1
    subscription = await bob.call("subscriptions/create", uri=uri)
    await bob.call("subscriptions/delete", subscription=subscription["id"])


async def test_a_stranger_cannot_tell_what_exists(opened: Opening, stranger: str, uri: str) -> None:
    async with opened(stranger) as client:
        told = []
        for target in (uri, f"{uri}/none"):
            for method, params in {**READS, **CHANGES}.items():
                with pytest.raises(Refused) as refused:
                    await client.call(method, uri=target, **params)
                told.append((method, refused.value.code, refused.value.number))
            with refuses("resource_not_found"):
                await client.call("subscriptions/create", uri=target)
        assert {code for _, code, _ in told} == {"resource_not_found"}
        assert (await client.call("resources/list", prefix=uri))["resources"] == []


async def test_a_stranger_follows_no_pattern(opened: Opening, stranger: str, tree: str) -> None:
    async with opened(stranger) as client:
        with pytest.raises(Refused) as refused:
            await client.call("subscriptions/create", uri=f"{tree}*")
        assert refused.value.code in {"resource_not_found", "forbidden"}


async def test_only_those_who_may_see_the_trail_and_the_figures(bob: Client, admin: Client) -> None:
    for method in ("audit/list", "audit/verify", "telemetry/snapshot"):
        with refuses("forbidden"):
            await bob.call(method)
        await admin.call(method)


async def test_sessions_and_subscriptions_of_others_are_not_there(opened: Opening, alice: Client, uri: str) -> None:
    subscription = (await alice.call("subscriptions/create", uri=uri))["id"]
    session = (await alice.call("sessions/create"))["id"]
    async with opened("bob") as bob:
        for method in ("sessions/get", "sessions/update", "sessions/close"):
            with refuses("resource_not_found"):
                await bob.call(method, session=session)
        for method in ("subscriptions/get", "subscriptions/delete"):
            with refuses("resource_not_found"):
                await bob.call(method, subscription=subscription)
        with refuses("resource_not_found"):
            await bob.call("events/poll", subscription=subscription, timeout_ms=0)
        with refuses("resource_not_found"):
            await bob.call("events/ack", subscription=subscription, offset=1)
        for method in ("sessions/suspend", "sessions/resume"):
            with pytest.raises(Refused) as refused:
                await bob.call(method, session=session)
            assert refused.value.code in {"forbidden", "resource_not_found"}
    assert (await alice.call("subscriptions/get", subscription=subscription))["id"] == subscription
    assert (await alice.call("sessions/get", session=session))["state"] == "active"
