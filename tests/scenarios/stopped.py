"""One reader of many stops reading: it is closed as slow, and nobody else notices (quality 10), over each transport.

What it does not take fills the buffers of both kernels and of whoever stands between, so that is how much has to be
written before a node finds out; memory is that of the nodes' processes.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from statistics import quantiles

from tests.scenarios.cuts import followers, nobody_follows
from tests.stack.checker import Checker, Event
from tests.stack.cluster import Cluster
from tests.stack.door import Door
from tests.stack.load import Pursuer
from tests.stack.rest import Rest
from tests.stack.waiting import PATIENCE, Late, eventually

MEBIBYTE = 2**20
GROWN_MOST = 10 * MEBIBYTE
CLOSED_SECONDS = 15.0

TRANSPORTS = ("websocket", "sse", "grpc")
SMALL_WINDOW = {"grpc.http2.bdp_probe": 0}

BIG_BYTES = 200_000
WARMING, FILLING, MORE = 20, 100, 5
"""Changes of that size: before memory is measured first, until it is measured again, and each second after that."""

PACED_BYTES, PACE_SECONDS = 16_000, 0.025
PACED, PACED_AT_A_TIME = 250, 20
"""What is written to time others: about forty changes a second."""

LATE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """What a reader that stopped came to: how much the largest process has grown, and how long until it was closed."""

    grown_bytes: int
    closed_seconds: float


async def stop_reading(cluster: Cluster, door: Door, transport: str, others: int) -> Stopped:
    """One stops beside so many others, who get everything."""
    tree, start, token = cluster.tree(), cluster.truth.head(), cluster.token("bob")
    await nobody_follows(cluster)
    reading = [Pursuer(partial(door.socket, token), f"{tree}*") for _ in range(others)]
    for other in reading:
        await other.start(start)
    async with door.rest(cluster.token("alice")) as alice, stopped(door, transport, token, f"{tree}*", start):
        await eventually(partial(follow, cluster, others + 1), PATIENCE, "the other one follows")
        await reading[0].followed.reach(await write(alice, tree, WARMING))
        before = memory(cluster)
        last = await write(alice, tree, FILLING)
        for other in reading:
            await other.followed.reach(last, within=PATIENCE)
        grown = max(now - then for now, then in zip(memory(cluster), before, strict=True))
        began = time.monotonic()
        while not await follow(cluster, others):
            assert time.monotonic() - began < LATE_SECONDS, f"not closed within {LATE_SECONDS} s"
            last = await write(alice, tree, MORE)
            with suppress(Late):
                await eventually(partial(follow, cluster, others), 1, "it is closed")
        took = time.monotonic() - began
    logged = cluster.truth.log(tree, start)
    for other in reading:
        await other.followed.reach(last, within=PATIENCE)
        other.checker.covers(logged)
        assert other.connections == 1
        await other.close()
    return Stopped(grown_bytes=grown, closed_seconds=took)


async def write(client: Rest, tree: str, count: int) -> int:
    """Write something big so many times; returns the last offset."""
    for n in range(count):
        written = await client.call("resources/write", uri=f"{tree}{n % 5}", text="x" * BIG_BYTES)
    offset: int = written["offset"]
    return offset


async def follow(cluster: Cluster, count: int) -> bool:
    """Whether so many follow, on all nodes together."""
    return sum(await followers(cluster)) == count


def memory(cluster: Cluster) -> list[int]:
    """Bytes that each node's web process has for itself."""
    return [sum(process.memory_full_info().uss for process in node.web_processes()) for node in cluster.nodes]


@dataclass(frozen=True, kw_only=True)
class Noticed:
    """What others noticed: the p99 of events on their way while all read, and while one did not; and `Stopped`."""

    before_seconds: float
    beside_seconds: float
    came_to: Stopped


class Clock(Checker):
    """Takes a reader's events, and how long each was on its way, in seconds, since it was asked for."""

    def __init__(self, took: list[float]) -> None:
        super().__init__(whole=False)
        self._took = took

    def take(self, events: Sequence[Event], offset: int | None = None) -> None:
        at = time.perf_counter()
        super().take(events, offset)
        self._took += [at - event["data"]["content"]["at"] for event in events]


async def time_others(cluster: Cluster, door: Door, transport: str, others: int) -> Noticed:
    """One of `others` and one more stops; the same is written at the same pace before that and until it is closed.

    The one that stops has missed so much that the buffers on its way are full at once.
    """
    tree, token, took = cluster.tree(), cluster.token("bob"), list[float]()
    await nobody_follows(cluster)
    async with door.rest(cluster.token("alice")) as alice:
        before_all = cluster.truth.head()
        last = await write(alice, tree, FILLING + WARMING)
        reading = [Pursuer(partial(door.socket, token), f"{tree}*") for _ in range(others)]
        for other in reading:
            await other.start(last, Clock(took))

        async def pace() -> None:
            written = await alice.call(
                "resources/write", uri=f"{tree}paced", content={"at": time.perf_counter(), "filling": "x" * PACED_BYTES}
            )
            nonlocal last
            last = written["offset"]
            await asyncio.sleep(PACE_SECONDS)

        async def all_have_it() -> float:
            for other in reading:
                await other.followed.reach(last, within=PATIENCE)
            return quantiles(took, n=100)[-1]

        for _ in range(PACED):
            await pace()
        await all_have_it()
        # what it costs to tell somebody who reads of all that is no matter of who does not
        earlier = Pursuer(partial(door.socket, token), f"{tree}*")
        await earlier.start(before_all)
        await earlier.followed.reach(last, within=PATIENCE)
        await earlier.close()
        await eventually(partial(follow, cluster, others), PATIENCE, "it has left")
        took.clear()
        for _ in range(PACED):
            await pace()
        before = await all_have_it()
        took.clear()
        grown, used, began = 0, memory(cluster), time.monotonic()
        async with stopped(door, transport, token, f"{tree}*", before_all):
            await eventually(partial(follow, cluster, others + 1), PATIENCE, "the other one follows")
            while not await follow(cluster, others):
                assert time.monotonic() - began < LATE_SECONDS, f"not closed within {LATE_SECONDS} s"
                for _ in range(PACED_AT_A_TIME):
                    await pace()
                grown = max(grown, *(now - then for now, then in zip(memory(cluster), used, strict=True)))
        closed = time.monotonic() - began
        beside = await all_have_it()
    for other in reading:
        other.checker.sound()
        assert other.connections == 1
        await other.close()
    return Noticed(
        before_seconds=before, beside_seconds=beside, came_to=Stopped(grown_bytes=grown, closed_seconds=closed)
    )


@asynccontextmanager
async def stopped(door: Door, transport: str, token: str, pattern: str, start: int) -> AsyncIterator[None]:
    """A follower that takes nothing from the network any more once it has begun."""
    if transport == "websocket":
        async with await door.socket(token) as socket:
            await socket.subscribe(pattern, start=start)
            socket.pause()
            yield
            socket.abort()
    elif transport == "sse":
        async with door.rest(token) as rest:
            request = rest.http.build_request("GET", "/api/v1/events/stream", params={"uri": pattern, "from": start})
            # what is not asked for is not read
            response = await rest.http.send(request, stream=True)
            assert response.status_code == 200
            yield
            await response.aclose()
    else:
        async with door.grpc(token, options=SMALL_WINDOW) as grpc:
            call = grpc.follow(uri=pattern, start=start).call
            await call.read()
            yield
            call.cancel()
