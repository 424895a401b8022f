"""Long polls: answers that wait, for as long as their client does and this process serves."""

import asyncio

from audit_app.errors import Unavailable
from erlmcp_site.methods.catalogue import pipeline
from erlmcp_site.node import node
from erlmcp_site.transports.http.answers import Receive, Send, disconnection, problem_answer
from erlmcp_site.transports.http.incoming import Incoming, Scope
from erlmcp_site.transports.rest.calls import Call, answer_of


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


polls = Polls()


class LongPoll:
    """An ASGI application that answers a poll once there is something, or the time is up; unless the client goes."""

    def __init__(self, incoming: Incoming, call: Call) -> None:
        self._incoming = incoming
        self._call = call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        incoming, call = self._incoming, self._call
        replying = asyncio.ensure_future(pipeline.run(incoming.request(call.method, call.params)))
        gone = asyncio.ensure_future(disconnection(receive))
        ends = polls.ends()
        try:
            await asyncio.wait((replying, gone, ends), return_when=asyncio.FIRST_COMPLETED)
            if replying.done():
                await answer_of(incoming, call, replying.result())(scope, receive, send)
            elif ends.done():
                refusal = Unavailable("This server ends; ask again.")
                await problem_answer(refusal, incoming)(scope, receive, send)
        finally:
            polls.leave(ends)
            gone.cancel()
            replying.cancel()
