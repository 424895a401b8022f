"""Input that means harm: refused with a clear error, memory bounded, and everybody else is served (quality 25)."""

import asyncio
import time
from collections.abc import AsyncIterator

import orjson
import pytest

from tests.stack.answers import Refused, refused_by_http, refused_by_jsonrpc
from tests.stack.cluster import Cluster
from tests.stack.refusals import refuses
from tests.stack.rest import path_of
from tests.stack.sockets import Socket
from tests.stack.waiting import eventually, in_time

MEBIBYTE = 2**20
JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
async def nobody_else_suffers(embedded: Cluster) -> AsyncIterator[None]:
    """Whatever a test does, the node answers afterwards, in the same process, without much more memory."""
    (web,) = embedded.nodes[0].web_processes()
    before = web.memory_full_info().uss
    seen = len(embedded.nodes[0].output)
    yield
    busy = sum(web.cpu_times()[:2])
    async with embedded.rest("bob") as bob:

        async def ask() -> float:
            started = time.monotonic()
            assert (await bob.call("resources/list")).status == 200
            return time.monotonic() - started

        await in_time(ask, 2, "the node answers")
    assert sum(web.cpu_times()[:2]) - busy < 2, "it had much to do before it answered"
    assert [process.pid for process in embedded.nodes[0].web_processes()] == [web.pid]
    assert web.memory_full_info().uss - before < 48 * MEBIBYTE
    assert "Traceback" not in embedded.nodes[0].output[seen:]


async def test_a_message_that_is_too_large_closes_the_socket(embedded: Cluster) -> None:
    for size in (64 * 1024 + 1, 4 * MEBIBYTE):
        async with await embedded.socket("alice") as socket:
            with pytest.raises(Exception):  # noqa: B017  (the close may come while we still send)
                await socket.send('{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"' + "x" * size + '"}}')
                await socket.stray()
            assert await socket.end(within=30) == 1009


async def test_the_largest_message_is_read(embedded: Cluster) -> None:
    async with await embedded.socket("alice") as socket:
        message = '{"jsonrpc":"2.0","id":"big","method":"ping","params":{"x":"%s"}}'
        await socket.send(message % ("x" * (64 * 1024 - len(message) + 2)))
        assert (await socket.stray())["id"] == "big"


async def test_a_flood_of_garbage_is_ended_or_answered_message_by_message(embedded: Cluster) -> None:
    async with await embedded.socket("alice") as socket:

        async def flood() -> None:
            for _ in range(20_000):
                await socket.send("}{")

        flooding = asyncio.create_task(flood())
        await asyncio.wait([flooding], timeout=20)
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)
        if socket.closed.is_set():
            assert socket.code in {4400, 4429}
        assert all(refused_by_jsonrpc(stray["error"]).code == "parse_error" for stray in socket.strays)


async def test_a_flood_of_good_calls_is_answered_or_refused_call_by_call(embedded: Cluster) -> None:
    async with await embedded.socket("alice") as socket:
        waiting = [socket.start("ping") for _ in range(5000)]
        answers = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 120)
        assert all(answer == {} or isinstance(answer, Refused) for answer in answers)


@pytest.mark.parametrize("depth", [65, 1000, 15_000])
async def test_json_that_is_nested_too_deeply_is_refused(embedded: Cluster, depth: int) -> None:
    tree = embedded.tree()
    nested = "[" * depth + "]" * depth
    async with embedded.rest("alice") as rest, await embedded.socket("alice") as socket:
        response = await rest.request(
            "PUT", path_of(f"{tree}a"), content=f'{{"content":{nested}}}'.encode(), headers=JSON
        )
        refused = refused_by_http(
            response.status_code, response.headers["content-type"], response.json(), response.headers
        )
        assert refused.code == "too_deep"
        await socket.send(
            f'{{"jsonrpc":"2.0","id":"deep","method":"resources/write","params":{{"uri":"{tree}a","content":{nested}}}}}'
        )
        answer = await socket.stray()
        assert refused_by_jsonrpc(answer["error"]).code == "too_deep"
        await rest.call("resources/write", uri=f"{tree}a", content={})
        with refuses("too_deep"):
            deep: dict = {}
            for _ in range(100):
                deep = {"a": deep}
            await rest.call("resources/patch", uri=f"{tree}a", patch=deep)
    assert embedded.truth.versions(tree) == {f"{tree}a": 1}


async def test_64_levels_are_not_too_deep(embedded: Cluster) -> None:
    tree = embedded.tree()
    content: list = []
    for _ in range(63):
        content = [content]
    async with embedded.rest("alice") as rest, await embedded.socket("alice") as socket:
        for client in (rest, socket):
            await client.call("resources/write", uri=f"{tree}a", content=content)
            assert (await client.call("resources/read", uri=f"{tree}a"))["content"] == content
            operation = {"method": "resources/write", "params": {"uri": f"{tree}b", "content": content}}
            await client.call("resources/batch", operations=[operation])


@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 400, "1e999", "18446744073709551616", "1" + "0" * 5000])
async def test_numbers_beyond_all_bounds_break_nothing(embedded: Cluster, number: str) -> None:
    tree = embedded.tree()
    async with embedded.rest("alice") as rest, await embedded.socket("alice") as socket:
        bodies = [f'{{"content":{number}}}', f'{{"content":1,"base_version":{number}}}']
        for body in bodies:
            response = await rest.request("PUT", path_of(f"{tree}a"), content=body.encode(), headers=JSON)
            assert response.status_code < 500, response.text
            assert response.status_code < 300 or response.json()["code"] in {"invalid_params", "parse_error"}
        for params in (f'{{"limit":{number}}}', f'{{"prefix":{number}}}', f"[{number}]"):
            await socket.send(f'{{"jsonrpc":"2.0","id":"n","method":"resources/list","params":{params}}}')
            answer = await socket.stray()
            if "error" in answer:
                code = refused_by_jsonrpc(answer["error"]).code
                assert code in {"invalid_params", "parse_error", "invalid_request"}
        for query in (f"limit={number}", f"subscription=x&after={number}", f"subscription=x&timeout_ms={number}"):
            response = await rest.request("GET", f"{'resources' if 'limit' in query else 'events'}?{query}")
            assert 400 <= response.status_code < 500, (query[:60], response.text)


async def test_a_body_that_is_too_large_is_refused(embedded: Cluster) -> None:
    tree = embedded.tree()
    async with embedded.rest("alice") as rest:
        for size, status in ((MEBIBYTE - 2, 201), (MEBIBYTE, 413), (3 * MEBIBYTE, 413)):
            response = await rest.request(
                "PUT", path_of(f"{tree}{size}"), content=b'{"content":"' + b"x" * size + b'"}', headers=JSON
            )
            assert response.status_code == status, response.text[:300]
            assert status == 201 or response.json()["code"] == "too_large"
        assert (await rest.call("resources/list", prefix=tree))["resources"][0]["size"] == MEBIBYTE


async def test_a_body_without_end_is_cut(embedded: Cluster) -> None:
    """Sent in chunks that announce no length."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(400):
            yield b"x" * 256 * 1024

    async with embedded.rest("alice") as rest:
        try:
            response = await rest.request("PUT", "resources/host/a", content=endless(), headers=JSON)
        except OSError as cut:
            assert cut
        except Exception as cut:
            assert type(cut).__module__.startswith("http"), cut
        else:
            assert (response.status_code, response.json()["code"]) == (413, "too_large")


async def test_a_json_patch_of_10_000_operations_is_refused(embedded: Cluster) -> None:
    tree = embedded.tree()
    async with embedded.rest("alice") as rest:
        await rest.call("resources/write", uri=f"{tree}a", content={"list": []})
        patch = [{"op": "add", "path": "/list/-", "value": n} for n in range(10_000)]
        with refuses("too_large"):
            await rest.call("resources/patch", uri=f"{tree}a", patch=patch, patch_type="json")
        doubling = [{"op": "copy", "from": "", "path": f"/{n}"} for n in range(40)]
        with refuses("too_large"):
            await rest.call("resources/patch", uri=f"{tree}a", patch=doubling, patch_type="json")
        assert (await rest.call("resources/read", uri=f"{tree}a"))["version"] == 1


async def test_of_10_000_subscriptions_one_socket_holds_a_thousand(embedded: Cluster) -> None:
    """What is held and what is refused costs little memory, and the socket goes on."""
    tree = embedded.tree()
    (web,) = embedded.nodes[0].web_processes()
    async with await embedded.socket("alice") as socket, embedded.rest("alice") as rest:
        before = web.memory_full_info().uss
        held = await asyncio.gather(*(socket.subscribe(f"{tree}{number}/*") for number in range(1000)))
        with_all = web.memory_full_info().uss
        for first in range(1000, 10_000, 1000):
            numbers = range(first, first + 1000)
            calls = [socket.start("resources/subscribe", uri=f"{tree}{number}/*") for number in numbers]
            for answer in await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 120):
                assert isinstance(answer, Refused) and answer.code == "rate_limited", answer
                assert (answer.data["policy"], answer.data["limit"]) == ("subscriptions", 1000)
        afterwards = web.memory_full_info().uss
        assert with_all - before < 1000 * 24 * 1024
        assert afterwards - with_all < 9000 * 1024
        for number in (0, 500, 999):
            await rest.call("resources/write", uri=f"{tree}{number}/a", content=1)
            await held[number].count(1)


async def test_handshakes_that_never_end_keep_nobody_out(embedded: Cluster) -> None:
    port = embedded.nodes[0].port
    lines = [b"", b"GET /ws", b"GET /ws/v1 HTTP/1.1\r\n", b"GET /ws/v1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"]

    async def connect_beside() -> float:
        halves = []
        for n in range(400):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(lines[n % len(lines)])
            halves.append(writer)
        started = time.monotonic()
        async with await embedded.socket("alice") as socket:
            assert (await socket.call("ping")).result == {}
        took = time.monotonic() - started
        for writer in halves:
            writer.close()
        return took

    await in_time(connect_beside, 2, "another socket is opened")


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /api/v1/resources HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /api/v1/resources/\xff\xfe HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ],
    ids=range(7),
)
async def test_what_is_hardly_http_is_answered_with_4xx_or_closed(embedded: Cluster, request_: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", embedded.nodes[0].port)
    writer.write(request_)
    try:
        answer = await asyncio.wait_for(reader.read(4096), 30)
    except ConnectionError:
        answer = b""
    except TimeoutError:
        raise AssertionError("neither answered nor closed") from None
    assert not answer or answer.split(b" ")[1].startswith(b"4"), answer[:200]
    assert b" 408 " not in answer[:20], "it was waited for"
    writer.close()


async def test_headers_without_end_are_cut(embedded: Cluster) -> None:
    """One header of 64 MiB, and a million small ones: neither is kept until its end."""
    for part in (b"x" * 65_536, b"X-A: b\r\n" * 8192):
        _, writer = await asyncio.open_connection("127.0.0.1", embedded.nodes[0].port)
        writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-B: ")
        with pytest.raises(ConnectionError):
            for _ in range(1024):
                writer.write(part)
                await asyncio.wait_for(writer.drain(), 30)
        writer.close()


async def test_what_is_no_http_gets_a_problem_like_everything_else(embedded: Cluster) -> None:
    for line in (b"GET / HTTP/1.1\r\nHost: a\r\nsome name: b\r\n\r\n", b"nonsense\r\n\r\n", b"\x16\x03\x01\x02\x00"):
        reader, writer = await asyncio.open_connection("127.0.0.1", embedded.nodes[0].port)
        writer.write(line)
        head, _, body = (await asyncio.wait_for(reader.read(), 30)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ") and b"application/problem+json" in head, head
        problem = orjson.loads(body)
        assert problem["code"] == "invalid_request" and problem["request_id"].encode() in head
        writer.close()


async def test_what_the_trail_keeps_can_always_be_moved(stack: Cluster) -> None:
    """Odd characters in what is recorded must not stop the mover, on any database."""
    tree = stack.tree()
    async with stack.rest("alice") as rest:
        await rest.call("resources/write", uri=f"{tree}a", content={"a": 1})
        for path in ("/\u0000", "/\u2028", "/é" * 100, "/" + "x" * 5000):
            with refuses("patch_failed"):
                await rest.call(
                    "resources/patch", uri=f"{tree}a", patch=[{"op": "remove", "path": path}], patch_type="json"
                )
        headers = {"User-Agent": b"\xfftest\x85" * 600}
        assert (await rest.request("GET", path_of(f"{tree}a"), headers=headers)).status_code == 200
        await rest.request("GET", "resources?prefix=%00")
        with pytest.raises(Refused):
            await rest.call("sessions/get", session="\u0000" * 10)
        await eventually(lambda: stack.truth.waiting_entries() == 0, 30, "the outbox is empty")
    outcomes = [entry["outcome"] for entry in stack.truth.moved_entries(tree) if "patch" in entry["action"]]
    assert outcomes == ["refused"] * 4


async def test_a_socket_that_only_talks_and_never_listens(embedded: Cluster) -> None:
    """Calls whose answers nobody reads: the node stops reading, or closes; it does not gather answers for ever."""
    tree = embedded.tree()
    async with embedded.rest("alice") as rest:
        await rest.call("resources/write", uri=f"{tree}a", text="x" * 50_000)
    socket: Socket = await embedded.socket("alice", max_queue=1)
    socket.pause()
    message = f'{{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{{"uri":"{tree}a"}}}}'

    async def talk() -> None:
        for _ in range(20_000):
            await socket.send(message)

    talking = asyncio.create_task(talk())
    await asyncio.wait([talking], timeout=4)
    talking.cancel()
    await asyncio.gather(talking, return_exceptions=True)
    socket.abort()
