"""A gRPC load client, as a process of its own: `python -m benchmarks.grpc_load`, told what to do as JSON on stdin.

It prints what it measured as JSON: requests or deliveries, seconds, latencies in milliseconds, and the CPU seconds that
the watched processes took meanwhile. It ends with a status that is not 0 when anything is refused or missing.
"""

import asyncio
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

import grpc
import psutil
import uvloop

from benchmarks.content import content, uri
from erlmcp_site.transports.grpc.generated import resources_pb2, subscriptions_pb2

SUBSCRIPTIONS, RESOURCES = "/erlmcp.v1.Subscriptions", "/erlmcp.v1.Resources"
CHANNELS = 4
WARM_SECONDS = 0.5


def channel_of(address: str) -> Any:
    """A connection of its own."""
    return grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])


class Cpu:
    """CPU seconds, user and system, of processes and all below them, since this was made."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._trees = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._before = self._now()

    def spent(self) -> dict[str, float]:
        return {name: seconds - self._before[name] for name, seconds in self._now().items()}

    def _now(self) -> dict[str, float]:
        return {name: sum(tree.cpu_times()[:2]) for name, tree in self._trees.items()}


async def unary(task: Mapping[str, Any]) -> dict[str, Any]:
    """The same RPC again and again, over so many calls at a time."""
    channels = [channel_of(task["address"]) for _ in range(CHANNELS)]
    calls = [channel.unary_unary(task["path"]) for channel in channels]
    metadata = (("authorization", f"Bearer {task['token']}"),)
    requests: Iterator[bytes] = itertools.cycle(
        [b"x" * 500]
        if task["keys"] is None
        else [resources_pb2.ReadRequest(uri=uri(key)).SerializeToString() for key in range(task["keys"])]
    )
    took: list[float] = []

    async def ask(call: Callable[..., Any], until: float) -> None:
        while (began := time.perf_counter()) < until:
            await call(next(requests), metadata=metadata)
            took.append(time.perf_counter() - began)

    async def all_for(seconds: float) -> None:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(ask(calls[n % CHANNELS], until) for n in range(task["at_once"])))

    await all_for(WARM_SECONDS)
    took.clear()
    cpu, began = Cpu(task["watched"]), time.perf_counter()
    await all_for(task["seconds"])
    seconds, spent = time.perf_counter() - began, cpu.spent()
    cuts = statistics.quantiles(took, n=100)
    return {"count": len(took), "seconds": seconds, "cpu": spent, "p50_ms": cuts[49] * 1000, "p99_ms": cuts[98] * 1000}


async def follow(task: Mapping[str, Any]) -> dict[str, Any]:
    """Streams that follow one URI, while somebody else changes it in batches as fast as they are answered."""
    metadata = (("authorization", f"Bearer {task['token']}"),)
    channels = [channel_of(task["address"]) for _ in range(CHANNELS)]
    request = subscriptions_pb2.FollowRequest(uri=uri(0)).SerializeToString()
    reached, counts, news = [0] * task["streams"], [0] * task["streams"], asyncio.Event()

    async def read(number: int, begun: asyncio.Future[None]) -> None:
        call = channels[number % CHANNELS].unary_stream(f"{SUBSCRIPTIONS}/Follow")(request, metadata=metadata)
        async for data in call:
            message = subscriptions_pb2.FollowResponse.FromString(data)
            if message.HasField("started"):
                begun.set_result(None)
            elif message.HasField("events"):
                counts[number] += len(message.events.events)
                reached[number] = message.events.offset
                news.set()

    beginnings: list[asyncio.Future[None]] = [asyncio.get_running_loop().create_future() for _ in reached]
    readers = [asyncio.create_task(read(number, begun)) for number, begun in enumerate(beginnings)]
    await asyncio.gather(*beginnings)
    publisher = channel_of(task["address"])
    write = publisher.unary_unary(f"{RESOURCES}/Batch")
    change = resources_pb2.WriteRequest(uri=uri(0), content_json=json.dumps(content(0)))
    batch = resources_pb2.BatchRequest(operations=[resources_pb2.Operation(write=change)] * task["each"])
    cpu, began, changes, head = Cpu(task["watched"]), time.perf_counter(), 0, 0
    while time.perf_counter() < began + task["seconds"]:
        answer = resources_pb2.BatchResponse.FromString(await write(batch.SerializeToString(), metadata=metadata))
        changes, head = changes + task["each"], answer.results[-1].offset
    async with asyncio.timeout(60):
        while min(reached) < head:
            news.clear()
            await news.wait()
    seconds, spent = time.perf_counter() - began, cpu.spent()
    if set(counts) != {changes}:
        raise SystemExit(f"{changes} changes, but streams were sent {sorted(set(counts))}")
    for reader in readers:
        reader.cancel()
    return {"count": sum(counts), "seconds": seconds, "cpu": spent, "changes": changes}


WAYS: dict[str, Callable[[Mapping[str, Any]], Coroutine[Any, Any, dict[str, Any]]]] = {
    "unary": unary,
    "follow": follow,
}

if __name__ == "__main__":
    task = json.load(sys.stdin)
    print(json.dumps(uvloop.run(WAYS[task["way"]](task))))
