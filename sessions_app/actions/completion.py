"""Work that nobody may leave half done."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Do all of something, also when whoever waits for it gives up: half of it must not be left to be believed."""
    task = asyncio.create_task(work)
    # they may not hear of its failure
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await asyncio.shield(task)
