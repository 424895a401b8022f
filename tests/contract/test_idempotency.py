"""A request under an idempotency key has one effect and one answer, however often it is asked (contract §3)."""

import asyncio
import itertools
from typing import Any

import pytest
from uuid_utils import uuid4

from tests.contract.conftest import Client, Opening
from tests.stack.answers import Answer
from tests.stack.cluster import Cluster
from tests.stack.refusals import refuses
from tests.stack.rest import Rest
from tests.stack.waiting import eventually


def is_replayed(answer: Answer) -> bool:
    """Whether an answer says that it was given before: a header over REST, a member of the result elsewhere."""
    told = answer.headers.get("idempotent-replayed") == "true"
    return told or bool(answer.result and answer.result.get("idempotent_replayed"))


def plain(answer: Answer) -> Any:
    """The result without what only a repeat says."""
    return {name: value for name, value in (answer.result or {}).items() if name != "idempotent_replayed"}


async def twice(client: Client, method: str, **params: Any) -> Any:
    """The result of a request that is asked twice under one key; fails unless the second answer is the first."""
    key = str(uuid4())
    first = await client.call(method, **params, idempotency_key=key)
    again = await client.call(method, **params, idempotency_key=key)
    assert not is_replayed(first) and (is_replayed(again) or again.status == 204)
    assert plain(first) == plain(again) and first.status == again.status
    if first.status:
        same = ("etag", "location", "idempotent-replayed")
        assert [first.headers.get(name) for name in same[:2]] == [again.headers.get(name) for name in same[:2]]
        assert again.headers["idempotent-replayed"] == "true"
    return first.result


async def test_every_change_of_a_resource_is_done_once(alice: Client, tree: str, stack: Cluster) -> None:
    uri = f"{tree}a"
    before = stack.truth.head()
    await twice(alice, "resources/create", uri=uri, content={"n": 1})
    await twice(alice, "resources/write", uri=uri, content={"n": 2}, base_version=1, on_conflict="reject")
    await twice(alice, "resources/patch", uri=uri, patch={"m": 1})
    await twice(alice, "resources/patch", uri=uri, patch=[{"op": "add", "path": "/k", "value": 1}], patch_type="json")
    operations = [
        {"method": "resources/write", "params": {"uri": f"{tree}b", "content": 1}},
        {"method": "resources/patch", "params": {"uri": uri, "patch": {"n": 3}}},
    ]
    await twice(alice, "resources/batch", operations=operations)
    await twice(alice, "resources/delete", uri=uri)
    versions = [(uri.removeprefix(tree), version) for _, uri, version in stack.truth.log(tree, before)]
    assert versions == [("a", 1), ("a", 2), ("a", 3), ("a", 4), ("b", 1), ("a", 5), ("a", 6)]


async def test_so_is_every_change_of_a_subscription(alice: Client, tree: str, stack: Cluster) -> None:
    made = await twice(alice, "subscriptions/create", uri=f"{tree}*", label="once")
    mine = [one for one in (await alice.call("subscriptions/list", limit=1000))["subscriptions"] if one["label"]]
    assert [one["id"] for one in mine if one["resource"] == f"{tree}*"] == [made["id"]]
    await twice(alice, "events/ack", subscription=made["id"], offset=made["offset"])
    await twice(alice, "subscriptions/delete", subscription=made["id"])
    with refuses("resource_not_found"):
        await alice.call("subscriptions/get", subscription=made["id"])


@pytest.mark.parametrize("backend", ["database", "cache"])
async def test_so_is_every_change_of_a_session(admin: Client, backend: str) -> None:
    made = await twice(admin, "sessions/create", label="once", backend=backend)
    await twice(admin, "sessions/update", session=made["id"], metadata={"a": 1})
    suspended = await twice(admin, "sessions/suspend", session=made["id"])
    assert suspended["state"] == "suspended" and suspended["user"] == "admin"
    assert (await twice(admin, "sessions/resume", session=made["id"]))["state"] == "active"
    await twice(admin, "sessions/close", session=made["id"])


async def test_fifty_at_once_have_one_effect_and_one_answer(alice: Client, tree: str, stack: Cluster) -> None:
    """On every node that there is, over REST beside the transport of this run (quality 13)."""
    nodes = itertools.cycle(range(len(stack.nodes)))
    others = [stack.rest("alice", node=next(nodes)) for _ in range(4)]
    key, uri = str(uuid4()), f"{tree}a"
    try:
        clients = itertools.cycle([alice, *others])
        calls = [
            next(clients).call("resources/write", uri=uri, content={"n": 1}, idempotency_key=key) for _ in range(50)
        ]
        answers = await asyncio.gather(*calls)
    finally:
        for client in others:
            await client.http.aclose()
    assert all(plain(answer) == plain(answers[0]) for answer in answers)
    assert sum(not is_replayed(answer) for answer in answers) == 1
    assert stack.truth.versions(tree) == {uri: 1}

    def told() -> bool:
        entries = [entry for entry in stack.truth.entries(uri) if entry["action"] == "resources/write"]
        return len(entries) == 50 and {entry["outcome"] for entry in entries} == {"success"}

    await eventually(told, 30, "an entry for each")


async def test_a_key_for_another_request_is_refused(alice: Client, tree: str) -> None:
    uri, key = f"{tree}a", str(uuid4())
    await alice.call("resources/write", uri=uri, content={"a": 1, "b": 2}, idempotency_key=key)
    for method, params in (
        ("resources/write", {"uri": uri, "content": {"a": 1}}),
        ("resources/write", {"uri": f"{tree}b", "content": {"a": 1, "b": 2}}),
        ("resources/write", {"uri": uri, "content": {"a": 1, "b": 2}, "title": "t"}),
        ("resources/write", {"uri": uri, "content": {"a": 1, "b": 2.0}}),
        ("resources/patch", {"uri": uri, "patch": {"a": 1}}),
        ("resources/delete", {"uri": uri}),
        ("subscriptions/create", {"uri": f"{tree}*"}),
    ):
        with refuses("idempotency_mismatch") as refusal:
            await alice.call(method, **params, idempotency_key=key)
        assert refusal.error.number in {422, -32022, 9}
    again = await alice.call("resources/write", uri=uri, content={"b": 2, "a": 1}, idempotency_key=key)
    assert is_replayed(again), "the order of members does not make another request"


async def test_the_order_of_the_kinds_of_events_makes_no_other_request(alice: Client, tree: str) -> None:
    key = str(uuid4())
    for events in (["updated", "created"], ["created", "updated"], ["created", "updated", "created"]):
        made = await alice.call("subscriptions/create", uri=f"{tree}*", events=events, idempotency_key=key)
        assert made["events"] == ["created", "updated"]
    assert is_replayed(made)


async def test_keys_are_the_callers_own(alice: Client, admin: Client, tree: str) -> None:
    key = str(uuid4())
    await alice.call("resources/write", uri=f"{tree}a", content=1, idempotency_key=key)
    other = await admin.call("resources/write", uri=f"{tree}a", content=2, idempotency_key=key)
    assert other["version"] == 2 and not is_replayed(other)


async def test_what_was_refused_is_not_kept(alice: Client, tree: str) -> None:
    key = str(uuid4())
    for _ in range(2):
        with refuses("resource_not_found"):
            await alice.call("resources/patch", uri=f"{tree}a", patch={"a": 1}, idempotency_key=key)
    await alice.call("resources/write", uri=f"{tree}a", content={})
    done = await alice.call("resources/patch", uri=f"{tree}a", patch={"a": 1}, idempotency_key=key)
    assert done["version"] == 2 and not is_replayed(done)


async def test_a_repeat_over_the_other_transport_is_a_repeat(rest: Rest, tree: str, stack: Cluster) -> None:
    key, params = str(uuid4()), {"uri": f"{tree}a", "content": [1]}
    first = await rest.call("resources/write", **params, idempotency_key=key)
    async with await stack.socket("alice", node=len(stack.nodes) - 1) as socket:
        again = await socket.call("resources/write", **params, idempotency_key=key)
    assert is_replayed(again) and plain(again) == plain(first)


async def test_a_key_that_is_none_is_refused(alice: Client, transport: str, tree: str) -> None:
    wrong: list[Any] = ["", "a b", "k" * 256]
    if transport != "grpc":
        wrong.append("a\tb")
    if transport == "websocket":
        wrong += [" ", "é", 7, True, {}]
    for key in wrong:
        with refuses("invalid_params"):
            await alice.call("resources/write", uri=f"{tree}a", content=1, idempotency_key=key)


async def test_a_repeat_needs_the_permission_still(tree: str, stack: Cluster, opened: Opening) -> None:
    key = str(uuid4())
    async with opened("bob") as bob:
        for _ in range(2):
            with refuses("forbidden"):
                await bob.call("resources/write", uri=f"{tree}a", content=1, idempotency_key=key)
    assert stack.truth.versions(tree) == {}
