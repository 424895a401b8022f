"""Sessions of the legacy era, from `initialize` to their end, and every status of HTTP on the way (mcp.md, R5)."""

import re
from typing import Any

import pytest

from sessions_app.states import State
from tests.mcp.legacy_client import NEWEST, Clients, Legacy, notification
from tests.stack.cluster import Cluster
from tests.stack.waiting import PATIENCE, eventually

READ = "resources/read"
NO_MESSAGES = [
    (b"{", -32700),
    (b"", -32700),
    (b"3", -32600),
    (b"{}", -32600),
    (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600),
    (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
    (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600),
    (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600),
    (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
    (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}', -32600),
    (b'{"jsonrpc":"2.0","id":1}', -32600),
    (b'{"jsonrpc":"2.0","id":1,"result":{},"error":{}}', -32600),
    (b'{"jsonrpc":"2.0","result":{}}', -32600),
    (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600),
]


@pytest.fixture
def stack(pair: Cluster) -> Cluster:
    """Two nodes, which take turns."""
    return pair


@pytest.fixture
async def alice(clients: Clients) -> Legacy:
    return await clients()


async def kept(stack: Cluster, client: Legacy) -> Any:
    """The session as everybody sees it."""
    async with stack.rest("admin") as rest:
        return (await rest.call("sessions/get", session=client.id)).result


async def test_a_session_waits_until_its_client_is_ready(stack: Cluster, clients: Clients) -> None:
    client = await clients(ready=False)
    assert (await kept(stack, client))["state"] == State.INITIALIZING
    assert (await client.post(notification("notifications/initialized"))).status_code == 202
    assert (await kept(stack, client))["state"] == State.ACTIVE
    # said twice, it is as true as before
    assert (await client.post(notification("notifications/initialized"))).status_code == 202
    assert await client.ask("ping") == {}


async def test_initialize_tells_what_is_here(clients: Clients) -> None:
    client = await clients(begun=False)
    told = await client.begin()
    assert told["protocolVersion"] == NEWEST
    assert told["serverInfo"]["name"] == "erlmcp" and told["serverInfo"]["version"]
    assert told["capabilities"]["resources"] == {"subscribe": True, "listChanged": True}
    assert told["capabilities"]["tools"] == {"listChanged": True}
    assert client.session is not None and re.fullmatch(r"[\x21-\x7E]+", client.session)
    # 24 random bytes, besides the id of the session
    assert len(client.session.partition(".")[2]) == 32
    assert await client.ask("tools/list") != {}


async def test_a_supported_version_is_echoed_and_for_another_the_newest_is_offered(clients: Clients) -> None:
    for version in ("2025-03-26", "2025-06-18", "2025-11-25"):
        assert (await (await clients(begun=False)).begin(version))["protocolVersion"] == version
    for version in ("2024-11-05", "1999-01-01", ""):
        assert (await (await clients(begun=False)).begin(version))["protocolVersion"] == NEWEST


async def test_a_handshake_without_a_version_begins_nothing(clients: Clients) -> None:
    client = await clients(begun=False)
    for version in (None, 7):
        response = await client.initialize(version)
        assert response.json()["error"]["code"] == -32602
        assert "mcp-session-id" not in response.headers


async def test_a_message_without_a_session_is_a_bad_request(clients: Clients) -> None:
    client = await clients()
    client.session = None
    for response in (
        await client.send("ping"),
        await client.post(notification("notifications/initialized")),
        await client.end(),
        await client.get(),
    ):
        assert response.status_code == 400, response.text
        assert response.json()["error"]["code"] == -32600


async def everything(client: Legacy) -> list[int]:
    """The statuses of everything that can be asked in a session."""
    answers = [
        await client.send("ping"),
        await client.post(notification("notifications/cancelled", {"requestId": 1})),
        await client.post({"jsonrpc": "2.0", "id": "x", "result": {}}),
        await client.get(),
        await client.end(),
    ]
    return [answer.status_code for answer in answers]


async def is_gone(client: Legacy) -> None:
    """Wait until every node knows that the session is not there."""

    async def knows() -> bool:
        return (await client.send("ping")).status_code == 404

    for _ in range(4):
        await eventually(knows, PATIENCE, "the end of the session")
    assert await everything(client) == [404] * 5


async def test_an_unknown_session_is_not_found(clients: Clients) -> None:
    client = await clients()
    assert client.session is not None
    id, _, secret = client.session.partition(".")
    for wrong in (
        *("nonsense", ".", f".{secret}", id, f"{id}.", f"{id}.{secret}x", f"{id}.{secret[:-1]}", f"{id}.\xff"),
        f"019ac5d2-0000-7000-8000-000000000000.{secret}",
    ):
        client.session = wrong.encode("latin-1")  # type: ignore[assignment]
        statuses = await everything(client)
        assert statuses == [400 if wrong.startswith(".") else 404] * 5, wrong


async def test_the_session_of_somebody_else_is_not_found(clients: Clients) -> None:
    alice, bob = await clients(), await clients("bob")
    bob.session = alice.session
    assert await everything(bob) == [404] * 5
    assert await alice.ask("ping") == {}


async def test_the_id_of_a_session_of_another_kind_opens_nothing(stack: Cluster, clients: Clients) -> None:
    client = await clients()
    async with stack.rest("alice") as rest:
        made = (await rest.call("sessions/create", label="mine")).result
    client.session = f"{made['id']}.secret"
    assert await everything(client) == [404] * 5


async def test_a_session_ends_once(clients: Clients) -> None:
    client = await clients()
    response = await client.end()
    assert (response.status_code, response.content) == (200, b"")
    await is_gone(client)


async def test_a_session_can_end_before_it_has_begun(clients: Clients) -> None:
    client = await clients(ready=False)
    assert (await client.end()).status_code == 200
    await is_gone(client)


async def test_a_session_that_an_admin_suspends_is_not_there_until_it_is_resumed(
    stack: Cluster, clients: Clients
) -> None:
    client = await clients()

    async def answers() -> bool:
        return (await client.send("ping")).status_code == 200

    async with stack.rest("admin") as rest:
        await rest.call("sessions/suspend", session=client.id)
        await is_gone(client)
        await rest.call("sessions/resume", session=client.id)
    await eventually(answers, PATIENCE, "the session is there again")


async def test_the_token_counts_on_every_request(clients: Clients) -> None:
    client = await clients()
    client.http.headers["Authorization"] = "Bearer nonsense"
    assert await everything(client) == [401] * 5


async def test_an_invalid_version_header_is_a_bad_request(clients: Clients) -> None:
    client = await clients()
    for version in ("2024-11-05", "1.0", "banana", "2025-11-25,2025-11-25"):
        client.version = version
        response = await client.send("ping")
        assert response.status_code == 400, (version, response.text)


async def test_without_a_version_header_the_negotiated_one_holds(clients: Clients) -> None:
    client = await clients(version="2025-03-26")
    client.version = None
    batch = [client.request("ping"), client.request("ping")]
    response = await client.post(batch)
    assert [answer["id"] for answer in response.json()] == [message["id"] for message in batch]


async def test_get_has_to_accept_events(alice: Legacy) -> None:
    assert (await alice.get("application/json")).status_code == 406


async def test_post_has_to_accept_both_and_be_json(alice: Legacy) -> None:
    assert (await alice.send("ping", accept="application/json")).status_code == 406
    assert (await alice.send("ping", content_type="text/plain")).status_code == 400


async def test_other_verbs_are_not_allowed(alice: Legacy) -> None:
    for verb in ("PUT", "PATCH", "HEAD"):
        response = await alice.http.request(verb, alice.url, headers=alice.headers(content_type=None))
        assert response.status_code == 405, verb
        assert response.headers["allow"] == "GET, POST, DELETE"


async def test_what_is_no_message_is_a_bad_request(alice: Legacy) -> None:
    for body, code in NO_MESSAGES:
        response = await alice.post(body)
        assert (response.status_code, response.json()["error"]["code"]) == (400, code), body


async def test_errors_of_requests_are_answers(stack: Cluster, alice: Legacy) -> None:
    uri = f"{stack.tree()}missing"
    missing = await alice.error(READ, {"uri": uri})
    assert (missing["code"], missing["data"]["uri"]) == (-32002, uri)
    assert (await alice.error(READ, {}))["code"] == -32602
    assert (await alice.error("no/such"))["code"] == -32601
    assert (await alice.error("server/discover"))["code"] == -32601


async def test_a_plain_answer_is_json(stack: Cluster, alice: Legacy) -> None:
    uri = f"{stack.tree()}a"
    async with stack.rest("alice") as rest:
        await rest.call("resources/write", uri=uri, content={"a": 1})
    response = await alice.send(READ, {"uri": uri, "_meta": {}})
    assert response.headers["content-type"] == "application/json"
    result = response.json()["result"]
    assert result["contents"][0]["text"] == '{"a":1}'
    assert not {"resultType", "ttlMs", "cacheScope"} & result.keys()


async def test_the_level_of_log_messages_is_kept_with_the_session(stack: Cluster, alice: Legacy) -> None:
    assert await alice.ask("logging/setLevel", {"level": "warning"}) == {}
    assert (await alice.error("logging/setLevel", {"level": "loud"}))["code"] == -32602
    assert (await kept(stack, alice))["metadata"]["mcp"]["log_level"] == "warning"
    assert await alice.ask("ping") == {}


async def test_a_batch_is_answered_in_order(clients: Clients) -> None:
    client = await clients(version="2025-03-26")
    first, wrong, last = client.request("ping"), client.request("no/such"), client.request("ping")
    heard = notification("notifications/cancelled", {"requestId": 99})
    response = await client.post([first, heard, wrong, last])
    answers = response.json()
    assert [answer["id"] for answer in answers] == [first["id"], wrong["id"], last["id"]]
    assert ["result" in answer for answer in answers] == [True, False, True]
    assert (await client.post([heard, heard])).status_code == 202
    for bad in ([], [1], [client.request("initialize")], [client.request("ping")] * 101):
        assert (await client.post(bad)).status_code == 400


async def test_what_is_asked_stands_in_the_trail(stack: Cluster, alice: Legacy) -> None:
    uri = f"{stack.tree()}missing"
    asked = [await alice.send(READ, {"uri": uri}), await alice.send("no/such"), await alice.post(b"{")]
    ids = {response.headers["request-id"] for response in asked}

    async def entries() -> list[Any]:
        async with stack.rest("admin") as rest:
            found = (await rest.call("audit/list", limit=200)).result["entries"]
        return [entry for entry in found if entry["request_id"] in ids]

    async def are_there() -> bool:
        return len(await entries()) == len(ids)

    await eventually(are_there, PATIENCE, "an entry for each")
    told = {(entry["action"], entry["code"], entry["transport"], entry["session_id"]) for entry in await entries()}
    assert {one[:3] for one in told} == {
        (READ, "resource_not_found", "mcp"),
        ("unknown", "method_not_found", "mcp"),
        ("unknown", "parse_error", "mcp"),
    }
    assert alice.id in {one[3] for one in told}
