"""What the methods on resources, subscriptions and events do, from the request to the reply."""

import asyncio

import pytest

from resources_app.hub.hub import hub
from tests.pipeline.calls import URI, ask, body, code, token_of
from tests.stack.waiting import eventually

pytestmark = pytest.mark.usefixtures("running")

ALL = "resource://example.com/*"


async def test_a_resource_lives_from_its_creation_to_its_second_one() -> None:
    alice = await token_of("alice")
    created = await ask("resources/create", {"uri": URI, "content": {"a": 1}}, alice)
    assert (created.created, created.version, body(created)["content"]) == (True, 1, {"a": 1})
    assert code(await ask("resources/create", {"uri": URI, "content": 1}, alice)) == "already_exists"
    written = await ask("resources/write", {"uri": URI, "content": {"a": 2}, "base_version": 1}, alice)
    assert (written.created, written.version) == (False, 2)
    patched = await ask("resources/patch", {"uri": URI, "patch": {"b": 3}}, alice)
    assert body(patched)["content"] == {"a": 2, "b": 3}
    assert body(await ask("resources/read", {"uri": URI}, alice)) == body(patched)
    deleted = await ask("resources/delete", {"uri": URI}, alice)
    assert body(deleted)["version"] == 4
    assert code(await ask("resources/read", {"uri": URI}, alice)) == "resource_not_found"
    again = await ask("resources/create", {"uri": URI, "content": None}, alice)
    assert (again.created, again.version) == (True, 5)
    history = body(await ask("resources/history", {"uri": URI}, alice))
    assert [(one["version"], one["type"]) for one in history["versions"]] == [
        (5, "created"),
        (4, "deleted"),
        (3, "updated"),
        (2, "updated"),
        (1, "created"),
    ]


@pytest.mark.parametrize("consistency", ["strong", "causal", "eventual"])
async def test_a_session_reads_what_it_has_written(consistency: str) -> None:
    alice = await token_of("alice")
    for number in range(20):
        written = await ask("resources/write", {"uri": URI, "content": number}, alice)
        read = await ask("resources/read", {"uri": URI, "consistency": consistency}, alice)
        assert body(read)["content"] == number
        assert read.offset >= body(read)["offset"] == written.offset


async def test_a_causal_read_after_a_position_that_never_was_is_answered_from_the_database() -> None:
    alice = await token_of("alice")
    await ask("resources/write", {"uri": URI, "content": 1}, alice)
    reply = await ask("resources/read", {"uri": URI, "after": 10**9}, alice)
    assert body(reply)["content"] == 1
    assert hub.waiting == 0


async def test_a_batch_is_applied_whole_or_not_at_all() -> None:
    alice = await token_of("alice")
    operations = [{"method": "resources/write", "params": {"uri": f"{URI}{n}", "content": n}} for n in range(3)]
    reply = await ask("resources/batch", {"operations": operations}, alice)
    assert [one["version"] for one in body(reply)["results"]] == [1, 1, 1]
    refused = await ask(
        "resources/batch",
        {"operations": [*operations, {"method": "resources/delete", "params": {"uri": URI}}]},
        alice,
    )
    assert code(refused) == "resource_not_found"
    assert refused.refusal is not None
    assert refused.refusal.data["operation"] == 3
    read = await ask("resources/read", {"uri": f"{URI}0"}, alice)
    assert body(read)["version"] == 1


async def test_a_list_is_paged_in_the_order_of_uris_and_shows_each_once() -> None:
    alice = await token_of("alice")
    uris = sorted(f"resource://example.com/{name}" for name in ("a", "b/c", "b/d", "b", "z", "B", "%C3%A9"))
    for uri in reversed(uris):
        await ask("resources/write", {"uri": uri, "content": 1}, alice)
    found, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = body(await ask("resources/list", params, alice))
        found += [one["uri"] for one in page["resources"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == uris
    below = body(await ask("resources/list", {"prefix": "resource://example.com/b"}, alice))
    assert [one["uri"] for one in below["resources"]] == [uri for uri in uris if "/b" in uri]
    assert "content" not in below["resources"][0]


async def test_a_history_is_paged_from_its_newest_version() -> None:
    alice = await token_of("alice")
    for number in range(5):
        await ask("resources/write", {"uri": URI, "content": number}, alice)
    first = body(await ask("resources/history", {"uri": URI, "limit": 3}, alice))
    rest = body(await ask("resources/history", {"uri": URI, "cursor": first["next_cursor"]}, alice))
    assert [one["version"] for one in first["versions"] + rest["versions"]] == [5, 4, 3, 2, 1]
    assert rest["next_cursor"] is None


async def test_a_poll_waits_for_an_event_and_goes_on_from_its_offset() -> None:
    alice = await token_of("alice")
    subscription = body(await ask("subscriptions/create", {"uri": ALL}, alice))["id"]
    waiting = asyncio.ensure_future(ask("events/poll", {"subscription": subscription, "timeout_ms": 10_000}, alice))
    await eventually(lambda: list(hub.topics), 30, "the poll follows")
    await ask("resources/write", {"uri": URI, "content": 1}, alice)
    first = body(await waiting)
    assert [event["data"]["content"] for event in first["events"]] == [1]
    empty = body(
        await ask("events/poll", {"subscription": subscription, "after": first["offset"], "timeout_ms": 0}, alice)
    )
    assert empty == {"events": [], "offset": first["offset"]}
    assert list(hub.topics) == []


async def test_polls_that_end_by_time_while_events_come_lose_none() -> None:
    alice = await token_of("alice")
    created = body(await ask("subscriptions/create", {"uri": ALL, "from": "earliest"}, alice))
    stop = asyncio.Event()

    async def keep_writing() -> int:
        count = 0
        while not stop.is_set():
            await ask("resources/write", {"uri": URI, "content": count}, alice)
            count += 1
            await asyncio.sleep(0.001)
        return count

    writing = asyncio.ensure_future(keep_writing())
    got: list[int] = []
    after = created["offset"]
    for _ in range(150):
        params = {"subscription": created["id"], "after": after, "timeout_ms": 1}
        answer = body(await ask("events/poll", params, alice))
        got += [event["offset"] for event in answer["events"]]
        after = answer["offset"]
    stop.set()
    count = await writing
    while len(got) < count:
        params = {"subscription": created["id"], "after": after, "timeout_ms": 1000}
        answer = body(await ask("events/poll", params, alice))
        assert answer["events"], f"{count - len(got)} events are missing"
        got += [event["offset"] for event in answer["events"]]
        after = answer["offset"]
    assert got == list(range(1, count + 1))


async def test_a_durable_subscription_remembers_what_was_acknowledged() -> None:
    alice, bob = await token_of("alice"), await token_of("bob")
    subscription = body(await ask("subscriptions/create", {"uri": ALL, "from": "earliest"}, alice))["id"]
    for number in range(5):
        await ask("resources/write", {"uri": URI, "content": number}, alice)
    one = {"subscription": subscription}
    assert code(await ask("events/ack", one | {"offset": 3}, bob)) == "resource_not_found"
    assert body(await ask("events/ack", one | {"offset": 3}, alice))["offset"] == 3
    assert body(await ask("events/ack", one | {"offset": 2}, alice))["offset"] == 3
    answer = body(await ask("events/poll", one, alice))
    assert [event["offset"] for event in answer["events"]] == [4, 5]
    assert [code(await ask("subscriptions/get", one, token)) for token in (bob, alice)] == ["resource_not_found", None]
    assert code(await ask("subscriptions/delete", one, bob)) == "resource_not_found"
    assert code(await ask("subscriptions/delete", one, alice)) is None
    assert body(await ask("subscriptions/list", {}, alice))["subscriptions"] == []


async def test_a_poll_of_what_was_trimmed_is_a_reset() -> None:
    alice = await token_of("alice")
    subscription = body(await ask("subscriptions/create", {"uri": ALL, "from": "earliest"}, alice))["id"]
    for number in range(5):
        await ask("resources/write", {"uri": URI, "content": number}, alice)
    for after in (6, 2**63 - 1):
        reply = await ask("events/poll", {"subscription": subscription, "after": after}, alice)
        assert code(reply) == "reset"
        assert reply.refusal is not None
        assert reply.refusal.data == {"earliest": 1, "head": 5}
