"""Long polls over HTTP: answers that wait, for as long as their client does and this process serves."""

import asyncio

from erlmcp_site.methods.catalogue import pipeline
from erlmcp_site.pipeline.walks import hand_on
from erlmcp_site.transports.http.answers import Receive, Send, disconnection, problem_answer
from erlmcp_site.transports.http.incoming import Incoming, Scope
from erlmcp_site.transports.polls import ending, polls
from erlmcp_site.transports.rest.calls import Call, answer_of


class LongPoll:
    """An ASGI application that answers a poll once there is something, or the time is up; unless the client goes."""

    status = None

    def __init__(self, incoming: Incoming, call: Call) -> None:
        self._incoming = incoming
        self._call = call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        incoming, call = self._incoming, self._call
        replying = asyncio.ensure_future(pipeline.run(incoming.request(call.method, call.params)))
        gone = asyncio.ensure_future(disconnection(receive))
        ends = polls.ends()
        status: int | None = None
        try:
            await asyncio.wait((replying, gone, ends), return_when=asyncio.FIRST_COMPLETED)
            if replying.done():
                answer = answer_of(incoming, call, replying.result())
                hand_on(incoming, answer.status)
                await answer(scope, receive, send)
            elif ends.done():
                last = problem_answer(ending(), incoming)
                status = last.status
                await last(scope, receive, send)
        finally:
            polls.leave(ends)
            gone.cancel()
            if replying.cancel():
                # it is abandoned only then
                replying.add_done_callback(lambda _: hand_on(incoming, status))
