"""Opens WebSockets at a steady rate: `python -m benchmarks.connect_load`, told what to do as JSON on stdin.

Each socket bears a token, subscribes as soon as it is open, and stays. What it took is counted from when the socket
was due, until the answer to the subscription has come. Printed as JSON: how many, seconds, latencies in milliseconds,
and the CPU seconds of the watched processes; those of this client as `client_busy`, a share of the time. Who is told to
come back later does so, and is counted in `refused`.
"""

import asyncio
import json
import re
import statistics
import sys
import time
from collections.abc import Mapping
from typing import Any

import uvloop

from benchmarks.grpc_load import Cpu

PATIENCE_SECONDS = 60.0


class ComeBack(Exception):
    """The server takes nobody more for so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Client(asyncio.Protocol):
    """One socket: the handshake, the subscription, and then whatever comes."""

    def __init__(
        self, handshake: bytes, frame: bytes, expected: bytes, due: float, done: asyncio.Future[float]
    ) -> None:
        self._handshake = handshake
        self._frame = frame
        self._expected = expected
        self._due = due
        self._done = done
        self._heard = b""
        self._is_open = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(self._handshake)

    def data_received(self, data: bytes) -> None:
        if self._done.done():
            return
        self._heard += data
        if not self._is_open and b"\r\n\r\n" in self._heard:
            if not self._heard.startswith(b"HTTP/1.1 101"):
                self._done.set_exception(_refusal(self._heard))
                return
            self._is_open = True
            if self._transport is not None:
                self._transport.write(self._frame)
        elif self._expected in self._heard:
            self._done.set_result(time.perf_counter() - self._due)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(ConnectionResetError(f"closed after {self._heard[:500]!r}"))


async def connects(task: Mapping[str, Any]) -> dict[str, Any]:
    """Sockets at `rate` a second, `count` in all; a rate of 0 opens them all at once."""
    loop = asyncio.get_running_loop()
    frame = _frame(task["hello"].encode())
    expected = task["expect"].encode()
    handshakes = [_handshake(task["path"], token) for token in task["tokens"]]
    cpu, own, began = Cpu(task["watched"]), time.process_time(), time.perf_counter()

    async def open_one(number: int) -> float:
        due = began + (number / task["rate"] if task["rate"] else 0.0)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        done: asyncio.Future[float] = loop.create_future()
        handshake = handshakes[number % len(handshakes)]
        await loop.create_connection(lambda: Client(handshake, frame, expected, due, done), "127.0.0.1", task["port"])
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await done

    async def come_until_open(number: int) -> float:
        nonlocal refused
        while True:
            try:
                return await open_one(number)
            except ComeBack as later:
                refused += 1
                await asyncio.sleep(later.seconds)

    refused = 0
    took = sorted(await asyncio.gather(*map(come_until_open, range(task["count"]))))
    seconds, spent = time.perf_counter() - began, cpu.spent()
    cuts = statistics.quantiles(took, n=100)
    return {
        "count": len(took),
        "seconds": seconds,
        "cpu": spent,
        "client_busy": (time.process_time() - own) / seconds,
        "p50_ms": cuts[49] * 1000,
        "p99_ms": cuts[98] * 1000,
        "last_s": took[-1],
        "refused": refused,
    }


def _refusal(answer: bytes) -> Exception:
    told = re.search(rb"(?i)\r\nretry-after: (\d+)\r\n", answer)
    if told is None:
        return ConnectionRefusedError(answer[:500].decode(errors="replace"))
    return ComeBack(float(told[1]))


def _handshake(path: str, token: str) -> bytes:
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: localhost",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"Authorization: Bearer {token}",
    ]
    return "\r\n".join((*lines, "", "")).encode()


def _frame(text: bytes) -> bytes:
    """A text frame as clients send it, masked by zeros."""
    head = bytes((0x81, 0x80 | len(text))) if len(text) < 126 else b"\x81\xfe" + len(text).to_bytes(2, "big")
    return head + bytes(4) + text


if __name__ == "__main__":
    print(json.dumps(uvloop.run(connects(json.load(sys.stdin)))))
