"""gRPC as a client has it: streams that end when they have to, limits, health, reflection (contract §2, §4, §7)."""

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from tests.stack.checker import Checker
from tests.stack.cluster import Cluster, running
from tests.stack.grpc_client import Grpc
from tests.stack.messages import request_of, rpc_of
from tests.stack.node import ROOT
from tests.stack.postgres_server import PostgresServer
from tests.stack.processes import Process, free_port
from tests.stack.redis_server import RedisServer
from tests.stack.refusals import refuses
from tests.stack.waiting import PATIENCE, Late, eventually

_agents = itertools.count(1)


@pytest.fixture
async def alice(stack: Cluster) -> AsyncIterator[Grpc]:
    async with stack.grpc("alice") as client:
        yield client


async def test_a_stream_resumes_without_a_gap(stack: Cluster, alice: Grpc) -> None:
    tree, checker = stack.tree(), Checker()
    for n in range(3):
        await alice.call("resources/write", uri=f"{tree}a", content=n)
    async with alice.follow(checker, uri=f"{tree}*", start="earliest") as stream:
        written = await alice.call("resources/write", uri=f"{tree}b", text="x")
        await stream.followed.reach(written["offset"])
    for n in range(20):
        written = await alice.call("resources/write", uri=f"{tree}a", content=n)
    # on another node, where there is one
    async with (
        stack.grpc("alice", node=len(stack.nodes) - 1) as other,
        other.follow(checker, uri=f"{tree}*", start=checker.offset) as stream,
    ):
        await stream.followed.reach(written["offset"])
    checker.sound()
    assert [(event["subject"], event["version"]) for event in checker.events] == [
        *((f"{tree}a", n) for n in (1, 2, 3)),
        (f"{tree}b", 1),
        *((f"{tree}a", n) for n in range(4, 24)),
    ]
    assert checker.events[0]["type"] == "erlmcp.resource.created" and checker.events[0]["data"]["content"] == 0


async def test_a_stream_tells_deltas(stack: Cluster, alice: Grpc) -> None:
    uri, filling = f"{stack.tree()}a", "x" * 500
    await alice.call("resources/write", uri=uri, content={"n": 0, "filling": filling})
    async with alice.follow(uri=uri, options={"delta": True}) as stream:
        for n in (1, 2):
            written = await alice.call("resources/write", uri=uri, content={"n": n, "filling": filling})
            await stream.followed.reach(written["offset"])
        whole, delta = (event["data"] for event in stream.followed.events)
    assert whole["content"]["n"] == 1
    assert delta == {"patch": [{"op": "replace", "path": "/n", "value": 2}], "base_version": 2}


async def test_an_offset_that_proves_nothing_is_out_of_range(stack: Cluster, alice: Grpc) -> None:
    with refuses("reset") as refusal:
        async with alice.follow(uri=f"{stack.tree()}*", start=2**40):
            raise AssertionError("it must not begin")
    assert refusal["earliest"] <= refusal["head"] + 1


async def test_what_may_not_be_followed_is_refused(stack: Cluster, alice: Grpc) -> None:
    with refuses("resource_not_found"):
        async with alice.follow(uri=f"{stack.tree()}none"):
            raise AssertionError("it must not begin")
    async with stack.grpc() as nobody:
        with refuses("unauthenticated"):
            async with nobody.follow(uri=f"{stack.tree()}*"):
                raise AssertionError("it must not begin")


async def test_a_deleted_subscription_ends_its_stream(stack: Cluster, alice: Grpc) -> None:
    tree = stack.tree()
    subscription = (await alice.call("subscriptions/create", uri=f"{tree}*", label="mine"))["id"]
    written = await alice.call("resources/write", uri=f"{tree}a", content=1)
    async with alice.follow(subscription=subscription) as stream:
        await stream.followed.reach(written["offset"])
        await alice.call("events/ack", subscription=subscription, offset=written["offset"])
        await alice.call("subscriptions/delete", subscription=subscription)
        assert (await stream.end()).code == "resource_not_found"


async def test_a_client_that_goes_leaves_an_entry_of_its_end(stack: Cluster) -> None:
    agent = f"grpc-tests/{next(_agents)}"
    async with Grpc(stack.nodes[0].grpc_address, stack.token("alice"), agent=agent) as client:
        async with client.follow(uri=f"{stack.tree()}*"):
            pass

        def ended() -> bool:
            return [
                entry["transport"] for entry in stack.truth.entries_by(agent) if entry["action"] == "events/end"
            ] == ["grpc"]

        await eventually(ended, 30, "the entry of the end")


async def test_a_deadline_ends_the_call_here_as_there(stack: Cluster, alice: Grpc) -> None:
    tree = stack.tree()
    subscription = (await alice.call("subscriptions/create", uri=f"{tree}*"))["id"]
    agent = f"grpc-tests/{next(_agents)}"

    def codes() -> list[str | None]:
        return [entry["code"] for entry in stack.truth.entries_by(agent) if entry["action"] == "events/poll"]

    seconds = 0.5
    async with Grpc(stack.nodes[0].grpc_address, stack.token("alice"), agent=agent) as client:
        await client.call("resources/list")
        while not codes():
            call = client.channel.unary_unary(rpc_of("events/poll"))(
                request_of("events/poll", {"subscription": subscription, "timeout_ms": 30_000}).SerializeToString(),
                metadata=tuple(client.metadata.items()),
                timeout=seconds,
            )
            with pytest.raises(grpc.aio.AioRpcError) as late:
                await call
            assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            with contextlib.suppress(Late):
                await eventually(codes, 10, "the entry of the call")
            # one that this machine did not bring to the server in its time leaves none
            seconds *= 4
            assert seconds < 60
    assert set(codes()) == {"deadline_exceeded"}


async def test_what_cannot_be_read_is_refused_on_the_record(stack: Cluster, alice: Grpc) -> None:
    for path, data, code in (
        ("/erlmcp.v1.Resources/Read", b"\xff\xff\xff", "parse_error"),
        ("/erlmcp.v1.Resources/Shred", b"", "method_not_found"),
        ("/other.v1.Thing/Do", b"", "method_not_found"),
        ("/erlmcp.v1.Resources/Read", b"", "invalid_params"),
    ):
        with refuses(code) as refusal:
            await alice.ask(path, data)
        assert refusal.error.headers["request-id"]
    with refuses("invalid_params") as refusal:
        await alice.call("resources/list", limit=0)
    assert "limit" in refusal["errors"]
    with refuses("parse_error"):
        await alice.ask(rpc_of("resources/write"), b"\n\x11resource://host/a\x12\x01{")


async def test_metadata_that_make_no_sense_are_refused(stack: Cluster, alice: Grpc) -> None:
    for metadata, code in (
        ({"authorization": "Bearer a.b.c"}, "unauthenticated"),
        ({"authorization": "Basic YTpi"}, "unauthenticated"),
        ({"session-id": "nope"}, "resource_not_found"),
        ({"request-timeout": "soon"}, "invalid_params"),
        ({"log-offset": "here"}, "invalid_params"),
        ({"log-offset": str(2**63)}, "invalid_params"),
    ):
        with refuses(code):
            await alice.call("resources/read", metadata, uri=f"{stack.tree()}a")
    with refuses("invalid_params"):
        await alice.call("resources/write", {"idempotency-key": "two words"}, uri=f"{stack.tree()}a", content=1)
    told = (await alice.call("resources/list", {"request-id": "mine-1"})).headers["request-id"]
    assert told == "mine-1"


async def test_what_is_too_large_is_refused(stack: Cluster, alice: Grpc) -> None:
    uri = f"{stack.tree()}a"
    with refuses("too_large"):
        await alice.call("resources/write", uri=uri, text="x" * (1024 * 1024 + 1))
    agent = f"grpc-tests/{next(_agents)}"
    async with Grpc(stack.nodes[0].grpc_address, stack.token("alice"), agent=agent) as client:
        with refuses("too_large") as refusal:
            await client.ask(rpc_of("resources/batch"), b"x" * (8 * 1024 * 1024 + 1))
    assert refusal["limit"] == 8 * 1024 * 1024
    (entry,) = stack.truth.entries_by(agent)
    assert (entry["action"], entry["code"], entry["user"]) == ("resources/batch", "too_large", "alice")
    # this one is not read at all, so there is no entry and nothing but the status
    call = alice.channel.unary_unary(rpc_of("resources/write"))(
        b"x" * (17 * 1024 * 1024), metadata=tuple(alice.metadata.items())
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await alice.call("resources/write", uri=uri, text="x" * (1024 * 1024))
    assert len((await alice.call("resources/read", uri=uri))["text"]) == 1024 * 1024


async def test_a_change_is_seen_by_the_next_read_on_another_node(pair: Cluster) -> None:
    uri = f"{pair.tree()}a"
    async with pair.grpc("alice") as here, pair.grpc("alice", node=1) as there:
        for n in range(10):
            written = await here.call("resources/write", uri=uri, content=n)
            read = await there.call("resources/read", uri=uri, after=int(written.headers["log-offset"]))
            assert read["content"] == n


async def test_a_read_reflects_the_position_in_its_metadata(pair: Cluster) -> None:
    """Bob sends along, on one node, what Alice was told on another."""
    uri = f"{pair.tree()}a"
    async with pair.grpc("alice") as alice, pair.grpc("bob", node=1) as bob:
        for n in range(10):
            written = await alice.call("resources/write", uri=uri, content=n)
            read = await bob.call("resources/read", {"log-offset": written.headers["log-offset"]}, uri=uri)
            assert read["content"] == n
        # what the request says itself counts
        await bob.call("resources/read", {"log-offset": "of no use"}, uri=uri, after=1)


async def test_reflection_names_the_services(stack: Cluster, alice: Grpc) -> None:
    asked = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
    families = ("Auth", "Keys", "Sessions", "Resources", "Subscriptions", "Access", "Audit", "Telemetry")
    for version in ("v1", "v1alpha"):
        path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
        told = await anext(aiter(alice.channel.stream_stream(path)(iter([asked]))))
        answer = reflection_pb2.ServerReflectionResponse.FromString(told)
        names = {service.name for service in answer.list_services_response.service}
        assert names >= {f"erlmcp.v1.{family}" for family in families} | {"grpc.health.v1.Health"}


async def test_a_drain_is_told_to_streams_and_to_those_who_ask_for_the_health() -> None:
    with running("sqlite", environment={"DRAIN_NOTICE_SECONDS": "3"}) as cluster:
        async with cluster.grpc("alice") as client, client.follow(uri=f"{cluster.tree()}*") as stream:
            health = health_pb2_grpc.HealthStub(client.channel)
            watched = aiter(health.Watch(health_pb2.HealthCheckRequest(service="erlmcp.v1.Resources")))

            async def until(status: int) -> None:
                async with asyncio.timeout(PATIENCE):
                    while (await anext(watched)).status != status:
                        pass

            await until(health_pb2.HealthCheckResponse.SERVING)
            process = cluster.nodes[0].process
            assert process is not None
            created = await client.call("subscriptions/create", uri=f"{cluster.tree()}*")
            polling = asyncio.create_task(client.call("events/poll", subscription=created["id"], timeout_ms=60_000))
            process.send(signal.SIGTERM)
            await until(health_pb2.HealthCheckResponse.NOT_SERVING)
            # until balancers have heard, what asks is answered
            await client.call("resources/list")
            refusal = await stream.end(within=30)
            assert (refusal.code, stream.messages[-1].WhichOneof("message")) == ("unavailable", "drain")
            assert stream.messages[-1].drain.retry_ms > 0 and refusal.data["retry_after"] > 0
            with refuses("unavailable"):
                await polling
            assert process.wait(30) == 0


async def test_a_client_that_does_not_read_is_cut_and_holds_up_nobody(embedded: Cluster) -> None:
    tree, agent = embedded.tree(), f"grpc-tests/{next(_agents)}"
    async with (
        Grpc(embedded.nodes[0].grpc_address, embedded.token("alice"), agent=agent) as lazy,
        embedded.grpc("alice") as alice,
        alice.follow(uri=f"{tree}*") as stream,
    ):
        call = lazy.channel.unary_stream(rpc_of("events/stream"))(
            request_of("events/stream", {"uri": f"{tree}*"}).SerializeToString(), metadata=tuple(lazy.metadata.items())
        )
        await call.read()
        for n in range(12):
            written = await alice.call("resources/write", uri=f"{tree}{n}", text="x" * (1024 * 1024))
        await stream.followed.reach(written["offset"])

        def ended() -> bool:
            return "events/end" in [entry["action"] for entry in embedded.truth.entries_by(agent)]

        await eventually(ended, 60, "the end of the stream")
        with pytest.raises(grpc.aio.AioRpcError) as cut:
            while await call.read():
                pass
        assert cut.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_process_for_grpc_alone_is_a_node_like_the_others(pair: Cluster) -> None:
    port = free_port()
    command = [sys.executable, "manage.py", "grpc", "--port", str(port)]
    process = Process(command, folder=ROOT, environment=pair.nodes[0].environment)
    try:
        await asyncio.to_thread(process.await_line, f"gRPC on 127.0.0.1:{port}", 60)
        tree = pair.tree()
        async with (
            Grpc(f"127.0.0.1:{port}", pair.token("alice")) as alone,
            pair.grpc("alice") as other,
            alone.follow(uri=f"{tree}*") as stream,
        ):
            written = await other.call("resources/write", uri=f"{tree}a", content=1)
            await stream.followed.reach(written["offset"])
            assert (await alone.call("resources/read", uri=f"{tree}a"))["content"] == 1
            process.send(signal.SIGTERM)
            assert (await stream.end(within=30)).code == "unavailable"
        assert await asyncio.to_thread(process.wait, 40) == 0
    finally:
        process.kill()


async def test_several_web_processes_share_the_port(postgres: PostgresServer, redis: RedisServer) -> None:
    with running("postgres+redis", postgres=postgres, redis=redis, environment={"WEB_WORKERS": "2"}) as cluster:
        node = cluster.nodes[0]
        port = int(node.environment["GRPC_PORT"])

        def listening() -> int:
            return sum(
                any(one.laddr.port == port and one.status == psutil.CONN_LISTEN for one in process.net_connections())
                for process in node.web_processes()
            )

        await eventually(lambda: listening() == 2, 30, "both listen")
        for _ in range(8):
            async with cluster.grpc("alice") as client:
                await client.call("resources/list")


async def test_a_port_that_is_taken_stops_the_start_and_says_so(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        environment = {"PATH": os.environ["PATH"], "VAR_DIR": str(tmp_path), "PORT": str(free_port())}
        process = Process(
            [sys.executable, "manage.py", "serve"], folder=ROOT, environment={**environment, "GRPC_PORT": str(port)}
        )
        assert await asyncio.to_thread(process.wait, 60) == 1
    assert f"GRPC_PORT={port + 1}" in process.output
