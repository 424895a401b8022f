"""The long polls of this process, so that they do not hold up its end."""

import asyncio

from audit_app.errors import Unavailable
from erlmcp_site.methods.catalogue import pipeline
from erlmcp_site.node import node
from erlmcp_site.pipeline.messages import Reply, Request

POLL = "events/poll"
"""The method that waits."""


def ending() -> Unavailable:
    """What polls are told that have to end."""
    return Unavailable("This server ends; ask again.")


class Polls:
    """The polls that wait in this process. While the node drains none does."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def ends(self) -> asyncio.Future[None]:
        """A future that is done when the polls have to end; whoever took it gives it back to `leave`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if node.draining.is_set():
            future.set_result(None)
        self._waiting.add(future)
        return future

    def leave(self, future: asyncio.Future[None]) -> None:
        self._waiting.discard(future)

    async def drain(self, within: float) -> None:
        """Have every poll answered now."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def run(self, request: Request) -> Reply:
        """The reply to a poll. Raises Unavailable when it has to end before there is one."""
        replying, ends = asyncio.ensure_future(pipeline.run(request)), self.ends()
        try:
            await asyncio.wait((replying, ends), return_when=asyncio.FIRST_COMPLETED)
            if not replying.done():
                raise ending()
            return replying.result()
        finally:
            self.leave(ends)
            replying.cancel()


polls = Polls()
node.on_drain(polls.drain)
