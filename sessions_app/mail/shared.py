"""Mailboxes in Redis: a stream of letters and a hash of notes for each session, which go by themselves."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.conf import settings
from redis.exceptions import RedisError

from audit_app.breaker import Breaker
from audit_app.recovery import MAILBOXES
from sessions_app.line import Command, Line
from sessions_app.mail.letters import LETTER_SECONDS, MAX_BYTES, MAX_LETTERS, Letter

POST: Final = """
redis.call('XADD', KEYS[1], '*', 'box', ARGV[1], 'text', ARGV[2])
local bytes = redis.call('INCRBY', KEYS[2], #ARGV[2])
local count = redis.call('XLEN', KEYS[1])
while count > 0 and (bytes > tonumber(ARGV[3]) or count > tonumber(ARGV[4])) do
    local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
    redis.call('XDEL', KEYS[1], oldest[1])
    bytes = redis.call('DECRBY', KEYS[2], #oldest[2][4])
    count = count - 1
end
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('EXPIRE', KEYS[2], ARGV[5])
"""
NOTE: Final = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then
    return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""


class SharedMail:
    """See Mail."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._breaker = Breaker(MAILBOXES, counts=lambda error: isinstance(error, RedisError | OSError))

    async def post(self, session_id: str, box: str, text: bytes) -> None:
        letters, size, _ = _keys(session_id)
        await self._ask("EVAL", POST, 2, letters, size, box, text, MAX_BYTES, MAX_LETTERS, LETTER_SECONDS)

    async def read(self, session_id: str, after: str) -> Sequence[Letter]:
        found = await self._ask("XRANGE", _keys(session_id)[0], f"({after}", "+")
        return [Letter(place.decode(), fields[1].decode(), fields[3]) for place, fields in found]

    async def note(self, session_id: str, name: str, text: str, most: int) -> bool:
        notes = _keys(session_id)[2]
        return bool(await self._ask("EVAL", NOTE, 1, notes, name, text, most, _idle_seconds()))

    async def unnote(self, session_id: str, name: str) -> None:
        await self._ask("HDEL", _keys(session_id)[2], name)

    async def notes(self, session_id: str) -> Mapping[str, str]:
        found = await self._ask("HGETALL", _keys(session_id)[2])
        pairs = found.items() if isinstance(found, Mapping) else zip(found[::2], found[1::2], strict=True)
        return {name.decode(): text.decode() for name, text in pairs}

    async def touch(self, session_id: str) -> None:
        await self._ask("EXPIRE", _keys(session_id)[2], _idle_seconds())

    async def drop(self, session_id: str) -> None:
        await self._ask("DEL", *_keys(session_id))

    async def _ask(self, *command: Any) -> Any:
        asked: Command = command
        with self._breaker.guard():
            answer = (await self._line.ask(asked))[0]
            if isinstance(answer, Exception):
                raise answer
            return answer


def _keys(session_id: str) -> tuple[str, str, str]:
    """Of the letters, of how many bytes they have, and of the notes."""
    key = f"erlmcp:mail:{session_id}"
    return key, f"{key}:bytes", f"{key}:notes"


def _idle_seconds() -> int:
    return max(1, round(settings.SESSION_IDLE_SECONDS))
