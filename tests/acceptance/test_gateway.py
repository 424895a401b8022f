"""Through HAProxy and through nginx, with the configurations in deploy/, everything is as on the nodes themselves."""

import asyncio
import ssl
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack

import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.scenarios.cuts import nobody_follows
from tests.stack import sse
from tests.stack.answers import Refused
from tests.stack.cluster import Cluster
from tests.stack.gateway import KINDS, Gateway, Kind, gateway
from tests.stack.http2_socket import Http2Socket
from tests.stack.mcp_client import Mcp
from tests.stack.mcp_listening import listen
from tests.stack.rest import path_of
from tests.stack.scraping import metric
from tests.stack.waiting import in_time

WITHIN = 30
STREAMS = 200

NOTICED_SECONDS = 5
"""Half of the time for which HAProxy waits by itself for a client that has said that it will say nothing more."""


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.fixture(scope="module")
def edge(kind: Kind, pair: Cluster) -> Iterator[Gateway]:
    """The gateway in front of two nodes."""
    with gateway(kind, pair.nodes) as edge:
        yield edge


async def test_a_login_a_change_and_reads(edge: Gateway, pair: Cluster) -> None:
    uri = pair.tree() + "a"
    async with edge.rest() as nobody:
        login = await nobody.call("auth/login", username="alice", password=pair.passwords["alice"])
    async with edge.rest(login["access"]) as alice:
        written = await alice.call("resources/write", uri=uri, content={"n": 1})
        for _ in range(4):
            assert (await alice.call("resources/read", uri=uri))["version"] == written["version"]


async def test_a_socket_gets_its_events(edge: Gateway, pair: Cluster) -> None:
    tree = pair.tree()
    async with edge.rest(pair.token("alice")) as alice, await edge.socket(pair.token("alice")) as socket:
        followed = await socket.subscribe(tree + "*")
        for number in range(3):
            await alice.call("resources/write", uri=tree + "a", content=number)
        await followed.count(3)


# nginx has no WebSockets on HTTP/2, and says so to browsers, which open them on HTTP/1.1 then
@pytest.mark.parametrize("kind", ["haproxy"], indirect=True)
async def test_a_socket_may_be_a_stream_of_http2(edge: Gateway, pair: Cluster) -> None:
    tree = pair.tree()
    tls = ssl.create_default_context(cafile=str(edge.ca))
    tls.set_alpn_protocols(["h2"])
    async with Http2Socket(edge.base, pair.token("alice"), tls) as socket:
        subscribed = await socket.call("resources/subscribe", uri=tree + "*")
        written = await socket.call("resources/write", uri=tree + "a", content=1)
        told = (await socket.message("method", "events"))["params"]
    assert (told["subscription"], told["offset"]) == (subscribed["subscription"], written["offset"])


async def test_a_stream_gets_each_event_as_it_happens(edge: Gateway, pair: Cluster) -> None:
    tree = pair.tree()
    async with edge.rest(pair.token("alice")) as alice, sse.follow(alice, uri=tree + "*") as stream:
        for number in range(1, 4):
            await alice.call("resources/write", uri=tree + "a", content=number)
            await stream.count(number)


async def test_grpc_asks_and_follows(edge: Gateway, pair: Cluster) -> None:
    tree = pair.tree()
    async with edge.grpc(pair.token("alice")) as alice, alice.follow(uri=tree + "*") as stream:
        for number in range(1, 4):
            await alice.call("resources/write", uri=tree + "a", content=number)
            await stream.followed.count(number)
        assert (await alice.call("resources/read", uri=tree + "a"))["content"] == 3


async def test_an_agent_asks_and_listens(edge: Gateway, pair: Cluster) -> None:
    uri = pair.tree() + "a"
    async with Mcp(edge.base, pair.token("alice"), tls=edge.tls) as alice:
        await alice.tool("resource_create", uri=uri, content=0)
        async with listen(alice, [uri]) as stream:
            assert await stream.acknowledged() == {"resourceSubscriptions": [uri]}
            for number in range(1, 4):
                written = await alice.tool("resource_update", uri=uri, content=number)
                await stream.told_of(uri, written["structuredContent"]["offset"])
        assert (await alice.ask("resources/read", {"uri": uri}))["contents"][0]["text"] == "3"


async def test_an_agent_without_a_token_is_told_where_to_get_one(edge: Gateway) -> None:
    async with Mcp(edge.base, tls=edge.tls) as nobody:
        answer = await nobody.send("server/discover")
        assert answer.status_code == 401
        _, _, where = answer.headers["www-authenticate"].partition('resource_metadata="')
        told = (await nobody.http.get(where.partition('"')[0])).json()
    assert (told["resource"], told["authorization_servers"]) == (f"{edge.base}/mcp", [edge.base])


async def test_a_stream_whose_client_leaves_ends_on_its_node(edge: Gateway, pair: Cluster) -> None:
    """At once, and not only when there is something to tell."""
    tree = pair.tree()

    async def leave() -> float:
        await nobody_follows(pair)
        async with edge.rest(pair.token("alice")) as alice:
            async with sse.follow(alice, uri=tree + "*"):
                pass
            began = time.monotonic()
            await nobody_follows(pair)
            return time.monotonic() - began

    await in_time(leave, NOTICED_SECONDS, "the node has noticed")


async def test_a_poll_waits_for_its_event(edge: Gateway, pair: Cluster) -> None:
    tree = pair.tree()
    async with edge.rest(pair.token("alice")) as alice:
        subscription = await alice.call("subscriptions/create", uri=tree + "*")
        polling = asyncio.create_task(alice.call("events/poll", subscription=subscription["id"], timeout_ms=60_000))
        written = await alice.call("resources/write", uri=tree + "a", content=1)
        assert [event["offset"] for event in (await polling)["events"]] == [written["offset"]]


async def test_hundreds_of_streams_have_room_on_one_connection(edge: Gateway, pair: Cluster) -> None:
    tree = pair.tree()
    async with edge.grpc(pair.token("alice")) as alice, AsyncExitStack() as open_streams:
        streams = await asyncio.gather(
            *(open_streams.enter_async_context(alice.follow(uri=tree + "*")) for _ in range(STREAMS))
        )
        await alice.call("resources/write", uri=tree + "a", content=1)
        for stream in streams:
            await stream.followed.count(1, WITHIN)


async def test_grpc_tells_how_it_does_and_what_there_is(edge: Gateway) -> None:
    async with edge.grpc() as client:
        health = health_pb2_grpc.HealthStub(client.channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(service="erlmcp.v1.Resources"), timeout=WITHIN)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        stub = reflection_pb2_grpc.ServerReflectionStub(client.channel)
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        described = await anext(aiter(stub.ServerReflectionInfo(iter([asked]))))
        assert "erlmcp.v1.Resources" in {service.name for service in described.list_services_response.service}


async def test_a_refusal_comes_as_the_node_made_it(edge: Gateway, pair: Cluster) -> None:
    missing = pair.tree() + "a"
    async with edge.rest(pair.token("alice")) as rest, edge.grpc(pair.token("alice")) as rpc:
        for client in (rest, rpc):
            with pytest.raises(Refused) as refused:
                await client.call("resources/read", uri=missing)
            assert refused.value.code == "resource_not_found"


async def test_a_session_goes_on_at_whichever_node_is_asked(edge: Gateway, pair: Cluster) -> None:
    async with edge.rest(pair.token("alice")) as alice, pair.rest(node=0) as one, pair.rest(node=1) as two:

        async def counts() -> list[float]:
            return [await metric(node, "erlmcp_requests_total", method="sessions/get") for node in (one, two)]

        session = await alice.call("sessions/create")
        before = await counts()
        for _ in range(6):
            read = await alice.call("sessions/get", {"Session-Id": session["id"]}, session=session["id"])
            assert read["state"] == "active"
        assert all(after > earlier for earlier, after in zip(before, await counts(), strict=True))


async def test_the_trail_has_the_address_of_the_client(edge: Gateway, pair: Cluster) -> None:
    """Whatever the client says of itself."""
    tree, token = pair.tree(), pair.token("alice")
    forged = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Real-IP": "203.0.113.9"}
    transport = httpx.AsyncHTTPTransport(verify=edge.tls, local_address="127.0.0.9", trust_env=False)
    async with httpx.AsyncClient(base_url=edge.base, transport=transport, timeout=60) as http:
        headers = {**forged, "Authorization": f"Bearer {token}"}
        answer = await http.put(f"/api/v1/{path_of(tree + 'rest')}", json={"content": 1}, headers=headers)
        assert answer.status_code == 201
    async with await edge.socket(token, headers=forged, local_addr=("127.0.0.9", 0)) as socket:
        await socket.call("resources/write", uri=tree + "websocket", content=1)
    async with edge.grpc(token, metadata={name.lower(): value for name, value in forged.items()}) as rpc:
        await rpc.call("resources/write", uri=tree + "grpc", content=1)
    told = {entry["resource_id"].removeprefix(tree): entry["source_ip"] for entry in pair.truth.entries(tree)}
    assert told == {"rest": "127.0.0.9", "websocket": "127.0.0.9", "grpc": "127.0.0.1"}


async def test_streams_and_sockets_outlast_what_cuts_an_idle_connection(kind: Kind, pair: Cluster) -> None:
    tree, token = pair.tree(), pair.token("alice")
    async with pair.rest("alice") as alice:
        await alice.call("resources/create", uri=tree + "a", content=0)
    with gateway(kind, pair.nodes, GATEWAY_IDLE_TIMEOUT="2s") as edge:
        async with (
            await edge.socket(token) as socket,
            edge.rest(token) as rest,
            sse.follow(rest, uri=tree + "*") as stream,
            edge.grpc(token) as rpc,
            rpc.follow(uri=tree + "*") as call,
            Mcp(edge.base, token, tls=edge.tls) as agent,
            listen(agent, [tree + "a"]) as listening,
        ):
            assert await listening.acknowledged() == {"resourceSubscriptions": [tree + "a"]}
            followed = await socket.subscribe(tree + "*")
            await be_cut(edge)
            await be_cut(edge)
            async with pair.rest("alice") as alice:
                written = await alice.call("resources/write", uri=tree + "a", content=1)
            await followed.reach(written["offset"], WITHIN)
            await stream.count(1, WITHIN)
            await call.followed.count(1, WITHIN)
            await listening.told_of(tree + "a", written["offset"])


async def be_cut(edge: Gateway) -> None:
    """Ask once, and wait until the gateway closes the connection, as nothing more comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port, ssl=edge.tls)
    try:
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        said = await asyncio.wait_for(reader.read(), WITHIN)
        assert said.startswith(b"HTTP/1.1 200 ")
    finally:
        writer.close()


async def test_pages_know_that_they_are_reached_over_tls(edge: Gateway) -> None:
    async with edge.rest() as browser:
        page = await browser.http.get("/admin/login/")
        assert page.status_code == 200
        told = {"csrfmiddlewaretoken": page.cookies["erlmcp_csrf"], "username": "nobody", "password": "wrong"}
        # a form of another scheme than the page's is refused
        answer = await browser.http.post("/admin/login/", data=told, headers={"Origin": edge.base})
    assert answer.status_code == 200
