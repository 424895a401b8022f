"""A live follower whose process falls out of the log is told over every transport, and gets no part of what is left."""

import asyncio
from collections.abc import Iterator

import pytest
from websockets.asyncio.client import connect

from audit_app.writer import Writer
from resources_app.hub.hub import hub
from tests.resources.commands import trimming, write
from tests.stack.waiting import eventually
from tests.transports.http_server import Site, bearer
from tests.transports.websocket_server import Client

ALL, ONE = "resource://host/*", "resource://host/a"


@pytest.fixture
def other(site: Site) -> Iterator[Writer]:
    """The writer of another process."""
    writer = Writer()
    yield writer
    writer.close()


def outrun(other: Writer) -> int:
    """Commit and trim more than the hub has seen, while its event loop is held. Returns the new earliest offset."""
    for number in range(20):
        (event,) = other.run(write(number, ONE))
    last: int = event.offset
    other.run(trimming(last))
    hub.ring()
    return last


async def test_over_a_websocket_by_a_notice(site: Site, other: Writer) -> None:
    token = (await site.log_in("alice"))["access"]
    address = f"{site.http.base_url}/ws/v1".replace("http", "ws", 1)
    async with connect(address, additional_headers=bearer(token), proxy=None) as connection:
        client = Client(connection)
        subscription = (await client.result("resources/subscribe", uri=ALL))["subscription"]
        earliest = outrun(other)
        told = await client.notice("reset")
        assert told == {"subscription": subscription, "earliest": earliest, "head": earliest}
        assert await client.result("ping") == {}
        assert client.notices == []
        error = (await client.call("resources/unsubscribe", subscription=subscription))["error"]
        assert error["data"]["code"] == "resource_not_found"


async def test_over_server_sent_events_by_a_message_that_ends_the_stream(site: Site, other: Writer) -> None:
    token = (await site.log_in("alice"))["access"]
    async with site.stream(token, ALL) as stream:
        await stream.named("bookmark")
        earliest = outrun(other)
        reset = await stream.named("reset")
        await stream.end(5)
        assert (reset.id, reset.data["earliest"], reset.data["head"], stream.events) == (None, earliest, earliest, [])


async def test_over_a_long_poll_by_a_refusal(site: Site, other: Writer) -> None:
    made = (await site.ask("POST", "subscriptions", json={"uri": ALL})).json()
    polling = asyncio.create_task(site.ask("GET", f"events?subscription={made['id']}&timeout_ms=20000"))
    await eventually(lambda: [one for topic in hub.topics for one in topic.followers if not one.busy], 30, "it waits")
    earliest = outrun(other)
    response = await polling
    assert (response.status_code, response.json()["code"]) == (410, "reset")
    assert (response.json()["earliest"], response.json()["head"]) == (earliest, earliest)
