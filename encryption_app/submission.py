"""Commands that encrypt: their keys are made ready first, and again when the writer finds that it takes others."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from audit_app.commands import Command, Record
from audit_app.errors import Refusal, Unavailable
from audit_app.once import Once
from audit_app.trail import Entry
from audit_app.writer import writer
from encryption_app.data_keys import MAX_ROUNDS, NOT_HELD, data_keys
from encryption_app.envelope import DataKey, Place, Purpose
from encryption_app.errors import KeysMissing

K = TypeVar("K")


async def submit_sealing(
    prepare: Callable[[], Awaitable[K]], command: Callable[[Entry, K], Command], entry: Callable[[], Entry]
) -> Any:
    """Submit a command that is made of its audit entry and of the keys that `prepare` has made ready; its result.

    `entry` is asked for once the keys are there, and is not asked when this is refused before. Raises what deciding the
    command raises, Replayed, and Unavailable while a key that it takes is not to be had.
    """
    keys = await prepare()
    left = entry()
    for _ in range(MAX_ROUNDS):
        try:
            return await writer.submit(command(left, keys))
        except KeysMissing as missing:
            lacks = missing
        try:
            await data_keys.bring(lacks)
            keys = await prepare()
        except Refusal as refusal:
            await writer.submit(Record(entry=left, refusal=refusal))
            raise
        except asyncio.CancelledError:
            writer.note(Record(entry=left, refusal=Unavailable()))
            raise
    late = Unavailable(NOT_HELD)
    await writer.submit(Record(entry=left, refusal=late))
    raise late


def sealing_answer(once: Once | None, keys: Sequence[DataKey]) -> Once | None:
    """What is to be done once, so that the answer that is kept of it is encrypted by all of some data keys."""
    if once is None:
        return None
    answer, place = once.answer, Place(Purpose.ANSWER, once.key.id)

    def sealed(result: Any) -> bytes:
        kept = answer(result)
        for key in keys:
            kept = key.seal(kept, place)
        return kept

    return replace(once, answer=sealed, is_sealed=bool(keys))
