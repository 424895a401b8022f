"""Following over a socket: events in order, resumption, bookmarks, resets, and limits."""

from typing import Any

import pytest

from resources_app.hub import flusher
from resources_app.hub.hub import hub
from tests.stack.waiting import PATIENCE, eventually
from tests.transports.websocket_server import Client, Server

pytestmark = pytest.mark.django_db(transaction=True)

NOTE = "resource://test.local/notes/1"
BELOW = "resource://test.local/notes/*"


async def write(client: Client, content: Any, uri: str = NOTE) -> Any:
    return await client.result("resources/write", uri=uri, content=content)


async def test_a_follower_gets_every_change_in_order(server: Server) -> None:
    async with server.connect() as writer, server.connect(await server.token("bob")) as reader:
        first = await write(writer, 0)
        following = await reader.result("resources/subscribe", uri=NOTE)
        assert following["offset"] == first["offset"]
        for number in range(1, 50):
            await write(writer, number)
        events = await reader.events(49)
        assert [event["data"]["content"] for event in events] == list(range(1, 50))
        assert [event["version"] for event in events] == list(range(2, 51))


async def test_a_frame_of_events_is_what_the_contract_says(server: Server) -> None:
    async with server.connect() as client:
        following = await client.result("resources/subscribe", uri=BELOW)
        await write(client, "text")
        while not client.notices:
            client.notices.append(await client.receive())
        frame = client.notices.pop()
        assert frame.keys() == {"jsonrpc", "method", "params"}
        assert (frame["jsonrpc"], frame["method"]) == ("2.0", "events")
        (event,) = frame["params"].pop("events")
        assert frame["params"] == {"subscription": following["subscription"], "offset": event["offset"]}
        assert (event["specversion"], event["type"], event["subject"]) == ("1.0", "erlmcp.resource.created", NOTE)


async def test_a_follower_resumes_after_its_offset(server: Server) -> None:
    async with server.connect() as client:
        offsets = [(await write(client, number))["offset"] for number in range(10)]
        await client.result("resources/subscribe", uri=NOTE, **{"from": offsets[3]})
        events = await client.events(6)
        assert [event["offset"] for event in events] == offsets[4:]


async def test_an_offset_of_the_future_is_a_reset(server: Server) -> None:
    async with server.connect() as client:
        await write(client, 1)
        error = (await client.call("resources/subscribe", uri=NOTE, **{"from": 10**9}))["error"]
        assert (error["code"], error["data"]["code"]) == (-32016, "reset")
        assert {"earliest", "head"} <= error["data"].keys()


async def test_after_unsubscribing_nothing_comes(server: Server) -> None:
    async with server.connect() as client:
        following = await client.result("resources/subscribe", uri=BELOW)
        assert await client.result("resources/unsubscribe", subscription=following["subscription"]) == {}
        await write(client, 1)
        assert await client.result("ping") == {}
        assert client.notices == []
        error = (await client.call("resources/unsubscribe", subscription=following["subscription"]))["error"]
        assert error["code"] == -32004


async def test_an_idle_follower_gets_a_bookmark(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    # tests/contract/test_followers.py waits for the ten seconds of the contract
    monkeypatch.setattr(flusher, "BOOKMARK_SECONDS", 1.0)
    async with server.connect() as client:
        following = await client.result("resources/subscribe", uri=BELOW)
        other = await write(client, 1, "resource://test.local/other")
        bookmark = await client.notice("bookmark")
        while bookmark["offset"] < other["offset"]:
            # it was idle before the write as well, so slow is this machine
            bookmark = await client.notice("bookmark")
        assert bookmark == {"subscription": following["subscription"], "offset": other["offset"]}


async def test_there_is_a_limit_to_the_subscriptions_of_a_socket(server: Server, settings: Any) -> None:
    settings.WS_MAX_SUBSCRIPTIONS = 3
    async with server.connect() as client:
        for _ in range(3):
            await client.result("resources/subscribe", uri=BELOW)
        error = (await client.call("resources/subscribe", uri=BELOW))["error"]
        assert "3 subscriptions" in error["message"]


async def test_a_socket_that_goes_away_leaves_no_follower_behind(server: Server) -> None:
    async with server.connect() as client:
        for _ in range(5):
            await client.result("resources/subscribe", uri=BELOW)
        assert list(hub.topics)
    await eventually(lambda: not list(hub.topics), PATIENCE, "no follower is left")
