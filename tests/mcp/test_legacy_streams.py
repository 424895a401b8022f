"""What requests of the legacy era tell and ask before their result, on nodes that take turns (mcp.md, R5)."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.mcp.fixture_app.shim import TOKEN_FILE
from tests.mcp.legacy_client import Clients, Events, Legacy, clients_of, notification
from tests.stack.cluster import Cluster, running
from tests.stack.postgres_server import PostgresServer
from tests.stack.redis_server import RedisServer
from tests.stack.waiting import PATIENCE, eventually

ASKABLE: dict[str, Any] = {"sampling": {}, "elicitation": {}}
SAMPLING = {"name": "test_sampling", "arguments": {"prompt": "Which colour?"}}
FORM = {"name": "test_elicitation", "arguments": {"message": "Who are you?"}}


@pytest.fixture(scope="module")
def nodes(postgres: PostgresServer, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes that have the tools of the conformance suite."""
    token = tmp_path_factory.mktemp("fixtures") / "token"
    token.write_text("nobody")
    own = {"DJANGO_SETTINGS_MODULE": "tests.mcp.fixture_app.settings", TOKEN_FILE: str(token)}
    with running("postgres+redis", postgres=postgres, redis=redis, nodes=2, environment=own) as cluster:
        yield cluster


@pytest.fixture
async def clients(nodes: Cluster) -> AsyncIterator[Clients]:
    async with clients_of(nodes) as make:
        yield make


@pytest.fixture
async def alice(clients: Clients) -> Legacy:
    """Can be asked things."""
    return await clients(capabilities=ASKABLE)


def call(client: Legacy, name: str, meta: dict[str, Any] | None = None, **arguments: Any) -> dict[str, Any]:
    return client.request("tools/call", {"name": name, "arguments": arguments, **({"_meta": meta} if meta else {})})


def text_of(message: dict[str, Any]) -> str:
    text: str = message["result"]["content"][0]["text"]
    return text


def answer(request: dict[str, Any], **result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request["id"], "result": result}


SAID = {"role": "assistant", "content": {"type": "text", "text": "Blue."}, "model": "m", "stopReason": "endTurn"}


async def test_progress_comes_before_the_result(alice: Legacy) -> None:
    message = call(alice, "test_tool_with_progress", {"progressToken": "p"})
    async with alice.calling(message) as events:
        assert events.response.headers["content-type"] == "text/event-stream"
        assert events.response.headers["cache-control"] == "no-cache, no-transform"
        assert await events.next() == "" and events.retry is not None, "where the stream begins"
        told = [await events.message() for _ in range(4)]
        assert await events.next() is None
    assert [one["params"]["progress"] for one in told[:3]] == [0, 50, 100]
    assert {one["params"]["progressToken"] for one in told[:3]} == {"p"}
    assert (told[3]["id"], text_of(told[3])) == (message["id"], "Progress complete.")


async def test_every_event_has_an_id_of_its_own(alice: Legacy) -> None:
    ids = []
    async with alice.calling(call(alice, "test_tool_with_progress", {"progressToken": 1})) as events:
        while await events.next() is not None:
            ids.append(events.last)
    assert len(ids) == len(set(ids)) == 5


async def test_older_clients_are_sent_no_event_without_a_message(clients: Clients) -> None:
    client = await clients(version="2025-06-18")
    async with client.calling(call(client, "test_tool_with_progress", {"progressToken": 1})) as events:
        data = [await events.next() for _ in range(5)]
    assert "" not in data and data[-1] is None


async def test_who_wants_no_progress_gets_the_result_alone(alice: Legacy) -> None:
    response = await alice.post(call(alice, "test_tool_with_progress"))
    assert response.headers["content-type"] == "application/json"
    assert text_of(response.json()) == "Progress complete."


async def test_the_level_of_the_session_says_what_is_told(alice: Legacy) -> None:
    async with alice.calling(call(alice, "test_tool_with_logging")) as events:
        told = await events.message()
    assert (told["method"], told["params"]["level"]) == ("notifications/message", "info")
    await alice.ask("logging/setLevel", {"level": "error"})

    async def is_quiet() -> bool:
        response = await alice.post(call(alice, "test_tool_with_logging"))
        return response.headers["content-type"] == "application/json"

    await eventually(is_quiet, PATIENCE, "every node knows the level")


@pytest.mark.parametrize(
    ("params", "method", "result", "text"),
    [
        (SAMPLING, "sampling/createMessage", SAID, "LLM response: Blue."),
        (FORM, "elicitation/create", {"action": "decline"}, "User response: action=decline, content={}"),
    ],
)
async def test_a_client_is_asked_and_answers_at_another_node(
    alice: Legacy, params: dict[str, Any], method: str, result: dict[str, Any], text: str
) -> None:
    message = alice.request("tools/call", params)
    async with alice.calling(message) as events:
        asked = await events.message()
        assert asked["method"] == method
        response = await alice.post(answer(asked, **result))
        assert (response.status_code, response.content) == (202, b"")
        told = await events.message()
    assert (told["id"], text_of(told)) == (message["id"], text)


async def test_a_client_may_answer_with_an_error(alice: Legacy) -> None:
    async with alice.calling(alice.request("tools/call", SAMPLING)) as events:
        asked = await events.message()
        await alice.post({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -1, "message": "Not now"}})
        told = await events.message()
    assert told["error"]["message"] == "Not now"


async def test_answers_are_for_whoever_asked_in_the_same_session(clients: Clients, alice: Legacy) -> None:
    other = await clients(capabilities=ASKABLE)
    async with alice.calling(alice.request("tools/call", SAMPLING)) as events:
        asked = await events.message()
        for _ in range(2):
            assert (await other.post(answer(asked, **SAID | {"content": {"type": "text", "text": "Red."}}))).is_success
        await alice.post(answer(asked, **SAID))
        assert text_of(await events.message()) == "LLM response: Blue."


async def test_who_cannot_be_asked_is_not(clients: Clients) -> None:
    client = await clients()
    response = await client.send("tools/call", SAMPLING)
    assert response.headers["content-type"] == "application/json"
    assert response.json()["error"]["data"]["requiredCapabilities"] == {"sampling": {}}


async def test_a_stream_that_the_server_ends_goes_on_at_another_node(alice: Legacy) -> None:
    message = call(alice, "test_reconnection")
    async with alice.calling(message) as events:
        assert await events.next() == "" and events.retry is not None
        assert await events.next() is None
    async with alice.listening(events.last) as rest:
        told = await rest.message()
        assert await rest.next() is None
    assert (told["id"], text_of(told)) == (message["id"], "Reconnection test completed successfully")


async def test_a_client_that_goes_away_cancels_nothing(alice: Legacy) -> None:
    message = alice.request("tools/call", SAMPLING)
    async with alice.calling(message) as events:
        await events.next()
        start = events.last
    async with alice.listening(start) as rest:
        asked = await rest.message()
        seen = rest.last
    assert asked["method"] == "sampling/createMessage"
    assert (await alice.post(answer(asked, **SAID))).status_code == 202
    async with alice.listening(seen) as rest:
        told = await rest.message()
    assert (told["id"], text_of(told)) == (message["id"], "LLM response: Blue.")
    # and once more, from wherever the client says that it was
    async with alice.listening(start) as rest:
        assert [await rest.message(), await rest.message()] == [asked, told]


async def ends(events: Events) -> bool:
    """Whether a stream ends without another message."""
    while (data := await events.next()) == "":
        continue
    return data is None


async def test_a_client_cancels_its_request_at_another_node(alice: Legacy) -> None:
    for _ in range(2):
        message = alice.request("tools/call", SAMPLING)
        async with alice.calling(message) as events:
            await events.message()
            cancel = notification("notifications/cancelled", {"requestId": message["id"], "reason": "changed my mind"})
            assert (await alice.post(cancel)).status_code == 202
            assert await ends(events)
        # from one node to the other
        alice.url  # noqa: B018


@pytest.mark.parametrize("last", ["p.0123456789abcdef.0", "p.x.7", "p.0123456789abcdef.99"])
async def test_a_stream_that_nobody_knows_ends_at_once(alice: Legacy, last: str) -> None:
    async with alice.listening(last) as rest:
        assert rest.response.status_code == 200
        assert await ends(rest)


async def test_the_streams_of_others_are_not_there(clients: Clients, alice: Legacy) -> None:
    other = await clients()
    async with alice.calling(call(alice, "test_tool_with_progress", {"progressToken": 1})) as events:
        await events.next()
        start = events.last
    async with other.listening(start) as rest:
        assert await ends(rest)


async def test_the_end_of_a_session_ends_what_runs_for_it(alice: Legacy) -> None:
    async with alice.calling(alice.request("tools/call", SAMPLING)) as events:
        await events.message()
        assert (await alice.end()).status_code == 200
        assert await ends(events)


async def test_a_session_can_have_many_requests_at_once(alice: Legacy) -> None:
    messages = [call(alice, "test_tool_with_progress", {"progressToken": number}) for number in range(3)]
    async with (
        alice.calling(messages[0]) as first,
        alice.calling(messages[1]) as second,
        alice.calling(messages[2]) as third,
    ):
        for number, events in enumerate([first, second, third]):
            told = [await events.message() for _ in range(4)]
            assert {one["params"]["progressToken"] for one in told[:3]} == {number}
            assert told[3]["id"] == messages[number]["id"]
