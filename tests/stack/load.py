"""Writers that keep going, and remember what they were promised."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from websockets.exceptions import InvalidHandshake, InvalidStatus

from tests.stack.answers import Refused
from tests.stack.checker import Checker
from tests.stack.sockets import Closed, Socket

Call = tuple[str, Mapping[str, Any]]
Opener = Callable[[], Awaitable[Socket]]

CONNECT_SECONDS = 40.0
PAUSE_SECONDS = 0.05


class Writer:
    """Makes calls over one socket, up to `window` at a time, and opens another socket when that one breaks.

    A call is made once: `answered` holds the calls with their results, `refused` those that were refused, and
    `unknown` those whose answer was lost with the socket; `error` tells how it was lost last.
    """

    def __init__(self, opener: Opener, window: int = 32) -> None:
        self.answered: list[tuple[Call, Any]] = []
        self.refused: list[tuple[Call, Refused]] = []
        self.unknown: list[Call] = []
        self._opener = opener
        self._window = window
        self._stopped = False
        self.error: BaseException | None = None

    def __repr__(self) -> str:
        counts = f"{len(self.answered)} answered, {len(self.refused)} refused, {len(self.unknown)} unknown"
        return f"<Writer: {counts}, {self.error or 'no error'}>"

    @property
    def last_offset(self) -> int:
        """The greatest offset among the answers."""
        return max((result["offset"] for _, result in self.answered), default=0)

    def stop(self) -> None:
        """Make no further calls; `run` returns when those under way are settled."""
        self._stopped = True

    async def run(self, calls: Iterable[Call]) -> None:
        """Make the calls, in order."""
        waiting: deque[tuple[Call, asyncio.Future[Any]]] = deque()
        socket = await connected(self._opener)
        try:
            for call in calls:
                if self._stopped:
                    break
                if len(waiting) >= self._window:
                    await self._settle(*waiting.popleft())
                if socket.closed.is_set():
                    while waiting:
                        await self._settle(*waiting.popleft())
                    await socket.close()
                    socket = await connected(self._opener)
                method, params = call
                waiting.append((call, socket.start(method, **params)))
            while waiting:
                await self._settle(*waiting.popleft())
        finally:
            await socket.close()

    async def _settle(self, call: Call, future: asyncio.Future[Any]) -> None:
        try:
            self.answered.append((call, await future))
        except Refused as refused:
            self.refused.append((call, refused))
        except Closed as closed:
            self.error = closed
            self.unknown.append(call)


async def connected(opener: Opener) -> Socket:
    """Open a socket, trying again while the server is away, or when it says. Raises the last error after
    CONNECT_SECONDS.
    """
    until = asyncio.get_running_loop().time() + CONNECT_SECONDS
    while True:
        try:
            return await opener()
        except (OSError, InvalidHandshake, EOFError, TimeoutError) as error:
            if asyncio.get_running_loop().time() >= until:
                raise
            await asyncio.sleep(max(PAUSE_SECONDS, _asked_to_wait(error)))


def _asked_to_wait(error: Exception) -> float:
    """Seconds, as the server says in its refusal; 0 where it does not."""
    return float(error.response.headers.get("Retry-After", 0)) if isinstance(error, InvalidStatus) else 0.0


class Pursuer:
    """Follows a pattern over any number of connections, each going on where the last one ended."""

    def __init__(self, opener: Opener, pattern: str) -> None:
        self.connections = 0
        self._opener = opener
        self._pattern = pattern
        self._socket: Socket | None = None

    async def start(self, offset: int, checker: Checker | None = None) -> None:
        """Connect and follow from an offset."""
        self._socket = await connected(self._opener)
        self.followed = await self._socket.subscribe(
            self._pattern, checker=checker or Checker(whole=False), start=offset
        )
        self.connections += 1

    async def again(self, away: float = 0.0) -> None:
        """Cut the connection, stay away for some seconds, and go on from what has come."""
        assert self._socket is not None
        self._socket.abort()
        await self._socket.close()
        await asyncio.sleep(away)
        await self.start(self.checker.offset, self.checker)

    async def follow_on(self) -> None:
        """For ever: whenever the server breaks the connection, go on from what has come."""
        while True:
            assert self._socket is not None
            await self._socket.closed.wait()
            await self._socket.close()
            try:
                await self.start(self.checker.offset, self.checker)
            except Closed:
                continue

    async def close(self) -> None:
        if self._socket is not None:
            await self._socket.close()

    @property
    def checker(self) -> Checker:
        return self.followed.checker
