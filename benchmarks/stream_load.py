"""A client of many event streams, as a process of its own: `python -m benchmarks.stream_load`, told by JSON on stdin.

It opens the streams, changes the one resource that all follow at a steady rate, and prints as JSON how long it took
from the sending of each change to each of the streams, and the CPU seconds of the watched processes meanwhile. It ends
with a status that is not 0 when a stream ends or is not told of the last change.
"""

import asyncio
import json
import re
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.grpc_load import Cpu

OPENING = 50
WARM_CHANGES = 20
SETTLE_SECONDS = 30


class Listener(asyncio.Protocol):
    """One stream. `began` is set by what `opened` finds; `pattern` finds the version of each change."""

    def __init__(self, load: "Load", request: bytes, opened: bytes) -> None:
        self.load = load
        self.request = request
        self.opened = opened
        self.version = 0
        self.told = 0
        self.rest = b""
        self.began: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        whole, end, self.rest = (self.rest + data).rpartition(b"\n\n")
        if not end:
            return
        if not self.began.done() and self.opened in whole:
            self.began.set_result(None)
        for found in self.load.pattern.findall(whole):
            self.version = int(found)
            self.told += 1
            self.load.note(self.version, now)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.began.done():
            self.began.set_exception(ConnectionError(f"not opened: {self.rest[:300]!r}"))
        self.load.lost += 1


class Load:
    """What was sent when, and how long it took to arrive."""

    def __init__(self, pattern: str) -> None:
        self.pattern = re.compile(pattern.encode())
        self.sent: dict[int, float] = {}
        self.took: list[float] = []
        self.lost = 0

    def note(self, version: int, now: float) -> None:
        if (sent := self.sent.get(version)) is not None:
            self.took.append(now - sent)


class Publisher:
    """Somebody who changes the resource again and again over one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
        self._reader, self._writer, self._request = reader, writer, request

    async def change(self) -> int:
        """Make one change; returns the version of it."""
        self._writer.write(self._request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if length is None or not head.startswith(b"HTTP/1.1 20"):
            raise SystemExit(f"a change was refused: {head!r}")
        return int(json.loads(await self._reader.readexactly(int(length[1])))["version"])


async def run(task: Mapping[str, Any]) -> dict[str, Any]:
    loop, load = asyncio.get_running_loop(), Load(task["version"])
    opened = task["opened"].encode()
    request, write = task["request"].encode(), task["write"].encode()
    listeners: list[Listener] = []
    while len(listeners) < task["streams"]:
        more = [Listener(load, request, opened) for _ in range(min(OPENING, task["streams"] - len(listeners)))]
        for listener in more:
            await loop.create_connection(lambda one=listener: one, "127.0.0.1", task["port"])  # type: ignore[misc]
        await asyncio.gather(*(listener.began for listener in more))
        listeners += more
    publisher = Publisher(*await asyncio.open_connection("127.0.0.1", task["port"]), write)
    for _ in range(WARM_CHANGES):
        version = await publisher.change()
    await _settle(listeners, version)
    before = sum(listener.told for listener in listeners)
    cpu, began = Cpu(task["watched"]), time.perf_counter()
    changes = round(task["seconds"] * task["rate"])
    for number in range(changes):
        await asyncio.sleep(max(0.0, began + number / task["rate"] - time.perf_counter()))
        load.sent[version + 1] = time.perf_counter()
        version = await publisher.change()
    await _settle(listeners, version)
    seconds, spent = time.perf_counter() - began, cpu.spent()
    if load.lost:
        raise SystemExit(f"{load.lost} streams ended")
    told = sum(listener.told for listener in listeners) - before
    cuts = statistics.quantiles(load.took, n=100)
    return {
        "count": told,
        "changes": changes,
        "seconds": seconds,
        "cpu": spent,
        "p50_ms": cuts[49] * 1000,
        "p99_ms": cuts[98] * 1000,
        "most_ms": max(load.took) * 1000,
    }


async def _settle(listeners: Sequence[Listener], version: int) -> None:
    """Wait until all have been told of a version."""
    until = time.perf_counter() + SETTLE_SECONDS
    while min(listener.version for listener in listeners) < version:
        if time.perf_counter() > until:
            raise SystemExit(f"not all streams were told of version {version}")
        await asyncio.sleep(0.005)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.load(sys.stdin)))))
