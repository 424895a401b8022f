"""TCP ways between parts that can be cut, silenced, and used to strike at a chosen message."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

T = TypeVar("T")

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
"""The message of PostgreSQL's simple query protocol, as psycopg sends it."""

PUBLISH = b"PUBLISH\r\n"
"""The command of Redis's protocol that carries a ring."""

CHUNK = 65536
LOOP_SECONDS = 10


@dataclass
class Trap:
    """Strikes once, at the next message that has `part` in it.

    "before": the message does not get there. "after": it gets there, and what it is answered does not get back.
    `strike` runs while the message, or its answer, is held; the connection is then gone. `sprung` is set after that.
    """

    part: bytes
    when: Literal["before", "after"]
    strike: Callable[[], None]
    sprung: threading.Event = field(default_factory=threading.Event)

    def spring(self) -> None:
        self.strike()
        self.sprung.set()


class Ways:
    """The thread in which links work, so that they do while tests wait. Use as a context."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "Ways":
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LOOP_SECONDS)
        self._loop.close()

    def link(self, port: int) -> "Link":
        """A way to a port of this machine, by a port of its own."""
        return self.run(Link.open(self, port))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Have it done in the thread; returns what it does."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(LOOP_SECONDS)

    async def _end(self) -> None:
        passages = asyncio.all_tasks() - {asyncio.current_task()}
        for passage in passages:
            passage.cancel()
        await asyncio.gather(*passages, return_exceptions=True)


class Link:
    """One way: connections to `port` go on to `target`. Made by `Ways.link`."""

    def __init__(self, ways: Ways, target: int) -> None:
        self.target = target
        self.port = 0
        self.trap: Trap | None = None
        self._ways = ways
        self._open = asyncio.Event()
        self._open.set()
        self._refuses = False
        self._writers: set[asyncio.StreamWriter] = set()

    @classmethod
    async def open(cls, ways: Ways, target: int) -> "Link":
        link = cls(ways, target)
        server = await asyncio.start_server(link._passage, "127.0.0.1", 0, backlog=1024)
        link.port = server.sockets[0].getsockname()[1]
        return link

    def cut(self) -> None:
        """Break all connections, and every new one at once, as a machine does whose process is gone."""
        self._ways.run(self._cut())

    def silence(self) -> None:
        """Let nothing through in either direction, and break nothing, as a network does that swallows packets."""
        self._ways.run(self._silence())

    def heal(self) -> None:
        """Let everything through again; what was held gets there now, as packets do that are sent again."""
        self._ways.run(self._heal())

    async def _cut(self) -> None:
        self._refuses = True
        for writer in list(self._writers):
            writer.transport.abort()

    async def _silence(self) -> None:
        self._open.clear()

    async def _heal(self) -> None:
        self._refuses = False
        self._open.set()

    async def _passage(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        self._writers.add(writer)
        try:
            await self._open.wait()
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            self._leave(writer)
            return
        self._writers.add(back)
        passage = Passage(self, writer, back)
        await asyncio.gather(passage.ask(reader), passage.answer(there), return_exceptions=True)
        self._leave(writer)
        self._leave(back)

    def _leave(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.close()

    def take_trap(self, data: bytes) -> Trap | None:
        """The trap that these bytes spring; it is not there for others any more."""
        trap = self.trap
        if trap is None or trap.part not in data:
            return None
        self.trap = None
        return trap

    async def passable(self) -> None:
        """Wait while the link is silent."""
        await self._open.wait()


class Passage:
    """One connection over a link: `client` and `server` are where to write to."""

    def __init__(self, link: Link, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._link = link
        self._client = client
        self._server = server
        self._trap: Trap | None = None

    async def ask(self, reader: asyncio.StreamReader) -> None:
        """Pass on what the client sends, until it ends."""
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._link.passable()
                trap = self._link.take_trap(data)
                if trap is not None and trap.when == "before":
                    await asyncio.to_thread(trap.spring)
                    self._abort()
                    return
                self._trap = trap or self._trap
                self._server.write(data)
                await self._server.drain()
            await self._link.passable()
        self._server.close()

    async def answer(self, reader: asyncio.StreamReader) -> None:
        """Pass on what the server sends, until it ends."""
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._link.passable()
                if self._trap is not None:
                    await asyncio.to_thread(self._trap.spring)
                    self._abort()
                    return
                self._client.write(data)
                await self._client.drain()
            await self._link.passable()
        self._client.close()

    def _abort(self) -> None:
        for writer in (self._client, self._server):
            writer.transport.abort()
