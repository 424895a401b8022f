"""What clients of this era are asked while a request of theirs waits, and what they answer, on whichever node."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import orjson
from mcp_types import INTERNAL_ERROR, INVALID_REQUEST, RequestId

from audit_app.breaker import PartAway
from audit_app.errors import Unavailable
from erlmcp_site.transports.mcp.kernel import MCPError
from erlmcp_site.transports.mcp.legacy.letters import answer_box
from erlmcp_site.transports.wire import ROWS
from sessions_app.mail.boxes import mailboxes
from sessions_app.mail.letters import BEGINNING, MAX_LETTER_BYTES

ANSWER_SECONDS: Final = 300.0
"""People are asked, too."""

MAX_ASKED: Final = 16
"""Of one session and process at the same time."""

Answer = Mapping[str, Any]


class Asked:
    """The requests to clients that wait in this process for an answer, by session and id."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[RequestId, asyncio.Future[Answer]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    async def ask(self, session_id: str, id: str, send: Callable[[], Awaitable[None]]) -> dict[str, Any]:
        """What a client answers to a request that `send` sends. Raises MCPError with the error that it answers."""
        waiting = self._waiting.setdefault(session_id, {})
        if len(waiting) >= MAX_ASKED:
            raise MCPError(INVALID_REQUEST, "The client has too many requests to answer already")
        future = waiting[id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await self._answer(session_id, id, future, send)
        except TimeoutError:
            raise MCPError(INTERNAL_ERROR, "The client did not answer in time") from None
        finally:
            del waiting[id]
            if not waiting:
                self._waiting.pop(session_id, None)
        return _result(answer)

    def give_up(self, session_id: str, id: str) -> None:
        """Wait for an answer no longer: this process ends."""
        future = self._waiting.get(session_id, {}).get(id)
        if future is not None and not future.done():
            future.set_exception(ending())

    async def take(self, session_id: str, id: RequestId, answer: Answer) -> None:
        """A client has answered. Raises PartAway when whoever waits elsewhere cannot be told."""
        future = self._waiting.get(session_id, {}).get(id)
        if future is not None:
            if not future.done():
                future.set_result(answer)
            return
        text = orjson.dumps(answer)
        if len(text) > MAX_LETTER_BYTES:
            error = {"code": INVALID_REQUEST, "message": "The answer of the client is too large"}
            text = orjson.dumps({"jsonrpc": "2.0", "id": id, "error": error})
        await mailboxes.post(session_id, answer_box(id), text)

    @staticmethod
    async def _answer(
        session_id: str, id: str, future: asyncio.Future[Answer], send: Callable[[], Awaitable[None]]
    ) -> Answer:
        box, place = answer_box(id), BEGINNING
        with mailboxes.waiting(session_id) as bell:
            future.add_done_callback(lambda _: bell.ring())
            await send()
            while not future.done():
                await bell.wait()
                if future.done():
                    break
                # while the mailboxes are away, the answer may still come to this node
                with contextlib.suppress(PartAway):
                    for letter in await mailboxes.read(session_id, place):
                        place = letter.place
                        if letter.box == box and not future.done():
                            future.set_result(orjson.loads(letter.text))
        return future.result()


def ending() -> MCPError:
    """What a request comes to that would have to wait for its client when there is no time."""
    refusal = Unavailable("This server ends; ask again.")
    return MCPError(ROWS[refusal.code].jsonrpc, refusal.message)


def _result(answer: Answer) -> dict[str, Any]:
    error = answer.get("error")
    if isinstance(error, dict) and isinstance(error.get("code"), int):
        raise MCPError(error["code"], str(error.get("message", "")), error.get("data"))
    result = answer.get("result")
    if not isinstance(result, dict):
        raise MCPError(INVALID_REQUEST, "The client answered with something that is no result")
    return result


asked = Asked()
