"""A WebSocket client: JSON-RPC calls, followed subscriptions, notices."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.stack.answers import Answer, refused_by_jsonrpc
from tests.stack.checker import Checker
from tests.stack.waiting import Late

SUBPROTOCOL = "erlmcp.v1"


class Closed(ConnectionError):
    """The server closed the socket; `code` says why (contract §5)."""

    def __init__(self, code: int | None) -> None:
        self.code = code
        super().__init__(f"closed with {code}")


class Followed:
    """A subscription of a socket, and what came for it, all of it above the offset `start`.

    A `checker` of an earlier connection can go on here.
    """

    def __init__(self, checker: Checker | None = None) -> None:
        self.id = ""
        self.start = 0
        self.checker = checker or Checker()
        self.deliveries: list[int] = []
        self.bookmarks: list[int] = []
        self._changed = asyncio.Event()

    @property
    def events(self) -> list[Mapping[str, Any]]:
        return list(self.checker.events)

    def begin(self, subscription: str, offset: int) -> None:
        """The server has answered: events above `offset` will come."""
        self.id = subscription
        self.start = offset
        self.checker.resumed_at(offset)

    def deliver(self, events: list[Mapping[str, Any]], offset: int) -> None:
        self.deliveries.append(len(events))
        self.checker.take(events, offset)
        self._changed.set()

    def bookmark(self, offset: int) -> None:
        self.bookmarks.append(offset)
        self.checker.bookmark(offset)
        self._changed.set()

    def wake(self) -> None:
        self._changed.set()

    async def reach(self, offset: int, within: float = 10) -> None:
        """Wait until everything up to `offset` is known to have come."""
        await self._wait(lambda: self.checker.offset >= offset, within, f"offset {offset}")

    async def count(self, events: int, within: float = 10) -> None:
        """Wait until so many events have come."""
        await self._wait(lambda: len(self.checker.events) >= events, within, f"{events} events")

    async def bookmarked(self, within: float) -> int:
        """Wait for the first bookmark."""
        await self._wait(lambda: bool(self.bookmarks), within, "a bookmark")
        return self.bookmarks[0]

    async def _wait(self, check: Any, within: float, what: str) -> None:
        try:
            async with asyncio.timeout(within):
                while not check():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise Late(
                f"{what} not within {within} s: {len(self.checker.events)} events, offset {self.checker.offset}"
            ) from None


class Socket:
    """One caller over a WebSocket. Use `async with Socket.open(…)`."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.notices: list[Mapping[str, Any]] = []
        self.strays: list[Mapping[str, Any]] = []
        self.followed: dict[str, Followed] = {}
        self.code: int | None = None
        self.closed = asyncio.Event()
        self._noticed = asyncio.Event()
        self._ids = 0
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._starting: dict[int, Followed] = {}
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def connect(
        cls,
        base: str,
        token: str | None = None,
        *,
        origin: str | None = None,
        headers: Mapping[str, str] | None = None,
        path: str = "/ws/v1",
        **options: Any,
    ) -> Self:
        """Open a socket; `token` goes into the handshake. Raises websockets' InvalidStatus when it is refused."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        connection = await connect(
            base.replace("http", "ws", 1) + path,
            additional_headers=sent,
            origin=origin,  # type: ignore[arg-type]
            subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]
            compression=None,
            max_size=None,
            proxy=None,
            ping_interval=None,
            **{"open_timeout": 20, "close_timeout": 5, "max_queue": None, **options},
        )
        return cls(connection)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self.connection.close()
        await self._reader

    def pause(self) -> None:
        """Take nothing from the network any more, so that the server's answers pile up."""
        self.connection.transport.pause_reading()

    def abort(self) -> None:
        """Cut the connection without a word, as a network does."""
        self.connection.transport.abort()

    async def call(self, method: str, /, **params: Any) -> Answer:
        """Call a method. Raises Refused, and Closed when the socket closes before the answer."""
        return Answer(result=await self.start(method, **params))

    def start(self, method: str, /, **params: Any) -> asyncio.Future[Any]:
        """Send a call at once, without waiting; the future has the result or the refusal."""
        self._ids += 1
        message = {"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params}
        future = self._expect(self._ids)
        self._send(orjson.dumps(message).decode(), future)
        return future

    async def batch(self, *calls: tuple[str, Mapping[str, Any]]) -> list[Any]:
        """Send a JSON-RPC batch. Returns results and Refused exceptions, in the order of the calls."""
        messages, futures = [], []
        for method, params in calls:
            self._ids += 1
            messages.append({"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params})
            futures.append(self._expect(self._ids))
        await self.send(messages)
        return await asyncio.gather(*futures, return_exceptions=True)

    async def send(self, message: Any) -> None:
        """Send anything: text and bytes as they are, the rest as JSON."""
        await self.connection.send(message if isinstance(message, (str, bytes)) else orjson.dumps(message).decode())

    async def subscribe(
        self, uri: str, /, *, checker: Checker | None = None, start: int | str | None = None, **params: Any
    ) -> Followed:
        """Follow a URI or a pattern on this socket; `start` is the protocol's `from`. Raises Refused."""
        return await self._subscribe(checker, {"uri": uri, **params} | ({} if start is None else {"from": start}))

    async def subscribe_again(self, subscription: str, /) -> Followed:
        """Follow a durable subscription on this socket. Raises Refused."""
        return await self._subscribe(None, {"subscription": subscription})

    async def _subscribe(self, checker: Checker | None, params: Mapping[str, Any]) -> Followed:
        followed = Followed(checker)
        self._ids += 1
        future = self._expect(self._ids)
        self._starting[self._ids] = followed
        await self.send({"jsonrpc": "2.0", "id": self._ids, "method": "resources/subscribe", "params": params})
        await future
        return followed

    async def notice(self, method: str, within: float) -> Mapping[str, Any]:
        """The params of the first notice of that name; waits for it."""
        try:
            async with asyncio.timeout(within):
                while True:
                    for notice in self.notices:
                        if notice["method"] == method:
                            params: Mapping[str, Any] = notice["params"]
                            return params
                    self._noticed.clear()
                    await self._noticed.wait()
        except TimeoutError:
            raise Late(f"no notice {method} within {within} s: {self.notices}, closed with {self.code}") from None

    async def stray(self, within: float = 5) -> Mapping[str, Any]:
        """The next message that answers no call of ours (an error with the id null, for example)."""
        try:
            async with asyncio.timeout(within):
                while not self.strays:
                    if self.closed.is_set():
                        raise Closed(self.code)
                    self._noticed.clear()
                    await self._noticed.wait()
        except TimeoutError:
            raise Late(f"nothing came within {within} s") from None
        return self.strays.pop(0)

    async def end(self, within: float) -> int | None:
        """Wait until the server closes; returns the close code."""
        try:
            async with asyncio.timeout(within):
                await self.closed.wait()
        except TimeoutError:
            raise Late(f"still open after {within} s") from None
        return self.code

    def _expect(self, number: int) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls[number] = future
        if self.closed.is_set():
            future.set_exception(Closed(self.code))
        return future

    def _send(self, text: str, future: asyncio.Future[Any]) -> None:
        sending = asyncio.create_task(self.connection.send(text))

        def failed(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and task.exception() is not None and not future.done():
                future.set_exception(Closed(self.connection.close_code))

        sending.add_done_callback(failed)

    async def _read(self) -> None:
        try:
            async for text in self.connection:
                messages = orjson.loads(text)
                for message in messages if isinstance(messages, list) else [messages]:
                    self._take(message)
        except ConnectionClosed:
            pass
        finally:
            self.code = self.connection.close_code
            self.closed.set()
            self._noticed.set()
            for future in self._calls.values():
                if not future.done():
                    future.set_exception(Closed(self.code))
                    future.exception()
            for followed in self.followed.values():
                followed.wake()

    def _take(self, message: Mapping[str, Any]) -> None:
        assert message.get("jsonrpc") == "2.0", message
        if message.get("id") in self._calls:
            self._answered(message["id"], message)
        elif message.get("method") == "events":
            params = message["params"]
            self.followed[params["subscription"]].deliver(params["events"], params["offset"])
        elif message.get("method") == "bookmark":
            params = message["params"]
            self.followed[params["subscription"]].bookmark(params["offset"])
        else:
            (self.notices if "method" in message else self.strays).append(message)
            self._noticed.set()

    def _answered(self, number: int, message: Mapping[str, Any]) -> None:
        future, followed = self._calls.pop(number), self._starting.pop(number, None)
        if "error" in message:
            refused = refused_by_jsonrpc(message["error"])
            if not future.done():
                future.set_exception(refused)
            return
        result = message["result"]
        if followed is not None:
            followed.begin(result["subscription"], result["offset"])
            self.followed[followed.id] = followed
        if not future.done():
            future.set_result(result)
