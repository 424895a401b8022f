"""What the nodes keep and tell each other of sessions of the legacy era, part by part."""

import asyncio
from typing import Any

import pytest
from mcp_types import RequestId

from erlmcp_site.transports.mcp import kernel
from erlmcp_site.transports.mcp.legacy.asked import MAX_ASKED, Asked
from erlmcp_site.transports.mcp.legacy.handshakes import described
from erlmcp_site.transports.mcp.legacy.letters import (
    Place,
    answer_box,
    cancelled_box,
    cancelled_id,
    event_id,
    read_event_id,
    read_stream_box,
    stream_box,
)
from erlmcp_site.transports.mcp.legacy.running import Cancelled, Running
from erlmcp_site.transports.mcp.legacy.standing import offset_of
from erlmcp_site.transports.mcp.legacy.subscribed import Awake, Subscribed, subscribe, wanted
from sessions_app.mail.boxes import mailboxes
from sessions_app.mail.letters import Letter

SESSION = "018f0000-0000-7000-8000-000000000001"


@pytest.fixture(autouse=True)
async def fresh() -> Any:
    """Nothing is in any mailbox."""
    yield
    await mailboxes.stop()


def test_ids_of_events_are_read_again() -> None:
    place = Place("0123456789abcdef", 7)
    assert read_event_id(event_id(place)) == place
    for wrong in ("", "p", "p.a", "p.a.b", "g.7", "p.a.7.8", "p.a.-1", "p.a.99999999999"):
        assert read_event_id(wrong) is None, wrong
    assert (offset_of("g.12"), offset_of("g."), offset_of("p.a.7"), offset_of("g.x")) == (12, None, None, None)


@pytest.mark.parametrize("id", [1, "1", -5, "a:b:c", "", "int:7"])
def test_ids_of_requests_are_what_they_were_on_other_nodes(id: RequestId) -> None:
    assert cancelled_id(cancelled_box(id)) == id
    assert cancelled_id(answer_box(id)) is None
    letter = Letter("1-0", stream_box(Place("s", 3), is_last=True), b"")
    assert read_stream_box(letter, "s") == (3, True)
    assert read_stream_box(letter, "t") is None
    assert read_stream_box(Letter("1-0", answer_box(f"stream:s:{id}"), b""), "s") is None


async def test_what_is_cancelled_twice_ends_once() -> None:
    running, begun = Running(), asyncio.Event()

    async def work() -> str:
        try:
            with running.under_way((SESSION, 1)):
                begun.set()
                await asyncio.Event().wait()
        except Cancelled:
            # and goes on with the answer
            await asyncio.sleep(0)
        return "answered"

    task = asyncio.ensure_future(work())
    await begun.wait()
    assert not running.cancel((SESSION, "1")) and not running.cancel(("other", 1))
    assert running.cancel((SESSION, 1)) and running.cancel((SESSION, 1))
    assert await task == "answered"
    assert len(running) == 0 and not running.cancel((SESSION, 1))


async def test_whoever_is_cancelled_by_the_server_is_not_answered() -> None:
    running, begun = Running(), asyncio.Event()

    async def work() -> None:
        with running.under_way((SESSION, 1)):
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(running) == 0


async def test_a_session_is_asked_so_many_things_at_once() -> None:
    asked, sent = Asked(), asyncio.Semaphore(0)

    async def send() -> None:
        sent.release()

    waiting = [asyncio.ensure_future(asked.ask(SESSION, str(number), send)) for number in range(MAX_ASKED)]
    for _ in waiting:
        await sent.acquire()
    with pytest.raises(kernel.MCPError):
        await asked.ask(SESSION, "more", send)
    for number in range(MAX_ASKED):
        await asked.take(SESSION, str(number), {"result": {"number": number}})
    assert await asyncio.gather(*waiting) == [{"number": number} for number in range(MAX_ASKED)]
    assert len(asked) == 0 and len(mailboxes.bells) == 0


@pytest.mark.parametrize("answer", [{"result": 7}, {"result": None}, {"error": "no"}, {"error": {"message": "x"}}])
async def test_an_answer_that_is_none_is_an_error(answer: dict[str, Any]) -> None:
    asked = Asked()

    async def send() -> None:
        await asked.take(SESSION, "1", answer)

    with pytest.raises(kernel.MCPError):
        await asked.ask(SESSION, "1", send)


async def test_an_answer_at_another_node_comes_by_the_mailbox() -> None:
    here, there = Asked(), Asked()

    async def send() -> None:
        await there.take(SESSION, "other", {"result": {"text": "not this one"}})
        await there.take(SESSION, "1", {"jsonrpc": "2.0", "id": "1", "result": {"text": "yes"}})

    assert await here.ask(SESSION, "1", send) == {"text": "yes"}


async def test_subscriptions_are_kept_while_a_session_is_used(settings: Any) -> None:
    settings.SESSION_IDLE_SECONDS = 1000
    subscribed = Subscribed("resource://host/a b", 12, "id")
    assert await subscribe(SESSION, "resource://host/a%20b", subscribed)
    assert (await wanted(SESSION)).uris == {"resource://host/a%20b": subscribed}
    awake = Awake()
    # the mailbox is told at once, and not again for a while
    awake.note(SESSION)
    await awake.settle()
    settings.SESSION_IDLE_SECONDS = 10_000
    awake.note(SESSION)
    await awake.settle()
    settings.SESSION_IDLE_SECONDS = -1
    awake.note(SESSION)
    await awake.settle()
    assert (await wanted(SESSION)).uris == {}


def test_of_a_handshake_only_what_means_something_is_kept() -> None:
    client = {"name": "a\nb" + "x" * 300, "version": "1", "icons": [{"src": "https://example.com/" + "x" * 5000}]}
    large = {"elicitation": {"form": {"x": "y" * 100_000}}, "experimental": {"x": {"y": "z" * 100_000}}, "sampling": {}}
    said = {"protocolVersion": "2025-11-25", "clientInfo": client, "capabilities": large}
    kept = described(kernel.handshake_of(said), "2025-11-25")
    assert kept["client"] == {"name": ("ab" + "x" * 300)[:255], "version": "1"}
    assert kept["capabilities"] == {"sampling": {}, "elicitation": {"form": {}}}
