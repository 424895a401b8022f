"""The stream on which a session of the legacy era is told of changes, on nodes that take turns (mcp.md, R5)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.mcp.legacy_client import Clients, Events, Legacy
from tests.stack.cluster import Cluster
from tests.stack.rest import Rest
from tests.stack.waiting import PATIENCE, eventually

UPDATED = "notifications/resources/updated"


@pytest.fixture
async def alice(clients: Clients) -> Legacy:
    return await clients()


@pytest.fixture
async def rest(stack: Cluster) -> AsyncIterator[Rest]:
    async with stack.rest("alice") as rest:
        yield rest


@pytest.fixture
async def uri(stack: Cluster, rest: Rest) -> str:
    """A resource that is there."""
    uri = f"{stack.tree()}a"
    await write(rest, uri, 0)
    return uri


async def write(rest: Rest, uri: str, content: Any) -> Any:
    return (await rest.call("resources/write", uri=uri, content=content)).result


async def subscribe(client: Legacy, uri: str) -> None:
    assert await client.ask("resources/subscribe", {"uri": uri}) == {}


async def updated(events: Events, uri: str) -> int:
    """The version that the next update of a resource tells of; that lists have changed is passed over."""
    while (told := await events.message())["method"] != UPDATED:
        continue
    assert told["params"]["uri"] == uri, told
    version: int = told["params"]["_meta"]["io.erlmcp/version"]
    return version


async def told_up_to(events: Events, uri: str, version: int) -> None:
    while await updated(events, uri) < version:
        continue


async def is_over(events: Events) -> None:
    """Wait until a stream has ended, whatever it says before."""
    while await events.next() is not None:
        continue


async def test_a_subscription_tells_of_changes_by_whomever(alice: Legacy, rest: Rest, uri: str) -> None:
    async with alice.listening() as events:
        assert events.response.headers["content-type"] == "text/event-stream"
        assert await events.next() == "" and events.last is not None, "where the stream begins"
        for node in range(2):
            # from another node each time
            await subscribe(alice, uri)
            written = await write(rest, uri, node + 1)
            told = await events.message()
            while told["method"] != UPDATED:
                told = await events.message()
            assert told["params"]["uri"] == uri
            meta = told["params"]["_meta"]
            assert (meta["io.erlmcp/version"], meta["io.erlmcp/offset"]) == (written["version"], written["offset"])


async def test_what_was_subscribed_before_the_stream_is_told_on_it(alice: Legacy, rest: Rest, uri: str) -> None:
    await subscribe(alice, uri)
    async with alice.listening() as events:
        await events.next()
        await write(rest, uri, 1)
        assert await updated(events, uri) == 2


async def test_uris_are_told_as_the_client_writes_them(alice: Legacy, rest: Rest, uri: str) -> None:
    written = uri.replace("resource://", "RESOURCE://")
    async with alice.listening() as events:
        await subscribe(alice, written)
        await write(rest, uri, 1)
        assert await updated(events, written) == 2


async def test_who_unsubscribes_is_told_no_more(alice: Legacy, rest: Rest, uri: str) -> None:
    other = f"{uri}/other"
    await write(rest, other, 0)
    async with alice.listening() as events:
        await subscribe(alice, uri)
        await subscribe(alice, other)
        await write(rest, uri, 1)
        assert await updated(events, uri) == 2
        assert await alice.ask("resources/unsubscribe", {"uri": uri}) == {}

        async def is_quiet() -> bool:
            """Whether of a change of both only the other is told."""
            await write(rest, uri, 1)
            last = (await write(rest, other, 1))["version"]
            heard = set()
            while True:
                told = (await events.message())["params"]
                heard.add(told.get("uri"))
                if told.get("uri") == other and told["_meta"]["io.erlmcp/version"] == last:
                    return uri not in heard

        await eventually(is_quiet, PATIENCE, "the stream knows of it")
    # there is nothing to unsubscribe from
    assert await alice.ask("resources/unsubscribe", {"uri": uri}) == {}


async def test_what_is_not_there_or_may_not_be_read_cannot_be_subscribed_to(
    stack: Cluster, clients: Clients, alice: Legacy, uri: str
) -> None:
    missing = f"{uri}/missing"
    error = await alice.error("resources/subscribe", {"uri": missing})
    assert (error["code"], error["data"]["uri"]) == (-32002, missing)
    bob = await clients("bob")
    await subscribe(bob, uri)
    async with stack.rest("admin") as rest:
        for verb in ("subscribe", "read"):
            await rest.call("access/grant", user="bob", pattern=f"{uri}/*", verbs=[verb], effect="deny")
    async with stack.rest("alice") as rest:
        await write(rest, f"{uri}/denied", 0)

    async def is_denied() -> bool:
        response = await bob.send("resources/subscribe", {"uri": f"{uri}/denied"})
        return bool(response.json().get("error", {}).get("code") == -32002)

    for _ in range(2):
        await eventually(is_denied, PATIENCE, "every node knows the rules")
    for wrong in ("nonsense", f"{uri}/*", "resource://*"):
        assert (await alice.error("resources/subscribe", {"uri": wrong}))["code"] == -32602, wrong


async def test_a_stream_goes_on_at_another_node_where_it_ended(alice: Legacy, rest: Rest, uri: str) -> None:
    other = f"{uri}/other"
    await write(rest, other, 0)
    await subscribe(alice, uri)
    await subscribe(alice, other)
    async with alice.listening() as events:
        await events.next()
        await write(rest, uri, 1)
        assert await updated(events, uri) == 2
    for missed in (1, 2):
        await write(rest, uri, missed)
    last = await write(rest, other, 1)
    async with alice.listening(events.last) as again:
        assert await again.next() == "" and again.last is not None
        heard: dict[str, int] = {}
        while heard.get(other) != last["version"] or heard.get(uri) != 4:
            told = await again.message()
            if told["method"] == UPDATED:
                heard[told["params"]["uri"]] = told["params"]["_meta"]["io.erlmcp/version"]
        await write(rest, uri, 3)
        await told_up_to(again, uri, 5)


async def test_what_comes_or_goes_changes_the_list(alice: Legacy, rest: Rest, uri: str) -> None:
    async with alice.listening() as events:
        await events.next()
        start = events.last
        await write(rest, f"{uri}/new", 0)
        assert await events.message() == {
            "jsonrpc": "2.0",
            "method": "notifications/resources/list_changed",
            "params": {},
        }
    async with alice.listening(start) as again:
        assert (await again.message())["method"] == "notifications/resources/list_changed"


async def test_one_stream_at_a_time_tells_a_session(alice: Legacy, rest: Rest, uri: str) -> None:
    await subscribe(alice, uri)
    async with alice.listening() as first:
        await first.next()
        async with alice.listening() as second:
            await second.next()
            await is_over(first)
            await write(rest, uri, 1)
            assert await updated(second, uri) == 2


async def test_the_end_of_a_session_ends_its_stream(alice: Legacy) -> None:
    async with alice.listening() as events:
        await events.next()
        assert (await alice.end()).status_code == 200
        await is_over(events)


async def test_a_suspension_ends_the_stream(stack: Cluster, alice: Legacy) -> None:
    async with alice.listening() as events, stack.rest("admin") as rest:
        await events.next()
        await rest.call("sessions/suspend", session=alice.id)
        await is_over(events)


async def test_a_revoked_token_ends_the_stream(stack: Cluster, clients: Clients) -> None:
    client = await clients(begun=False)
    own = stack.login("alice")
    client.http.headers["Authorization"] = f"Bearer {own['access']}"
    await client.begin()
    async with client.listening() as events, stack.rest() as rest:
        await events.next()
        await rest.call("auth/revoke", refresh=own["refresh"])
        await is_over(events)


async def test_who_may_read_no_more_is_told_no_more(stack: Cluster, clients: Clients, rest: Rest, uri: str) -> None:
    bob, other = await clients("bob"), f"{uri}/other"
    await write(rest, other, 0)
    await subscribe(bob, uri)
    await subscribe(bob, other)
    async with bob.listening() as events, stack.rest("admin") as admin:
        await events.next()
        await write(rest, uri, 1)
        assert await updated(events, uri) == 2
        await admin.call("access/grant", user="bob", pattern=uri, verbs=["read"], effect="deny")

        async def is_quiet() -> bool:
            changed = (await write(rest, uri, 1))["version"]
            last = (await write(rest, other, 1))["version"]
            heard: set[tuple[str, int]] = set()
            while (other, last) not in heard:
                told = (await events.message())["params"]
                if "uri" in told:
                    heard.add((told["uri"], told["_meta"]["io.erlmcp/version"]))
            return (uri, changed) not in heard

        await eventually(is_quiet, PATIENCE, "the stream knows of the rule")


async def test_who_may_have_missed_anything_is_told_that_all_may_have_changed(alice: Legacy, uri: str) -> None:
    await subscribe(alice, uri)
    async with alice.listening("g.999999999999") as events:
        told = [await events.message() for _ in range(4)]
    assert told[0] == {"jsonrpc": "2.0", "method": UPDATED, "params": {"uri": uri}}
    lists = {f"notifications/{name}/list_changed" for name in ("resources", "prompts", "tools")}
    assert {one["method"] for one in told[1:]} == lists


@pytest.mark.parametrize("last", ["nonsense", "g.", "g.99999999999999999999"])
async def test_a_stream_begins_now_for_who_was_never_there(alice: Legacy, rest: Rest, uri: str, last: str) -> None:
    await subscribe(alice, uri)
    async with alice.listening(last) as events:
        assert await events.next() == ""
        await write(rest, uri, 1)
        await told_up_to(events, uri, 2)
