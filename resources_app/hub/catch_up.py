"""Bringing a follower from its cursor to its topic's tail, by what the log has."""

import asyncio
from collections import Counter

from resources_app.hub.followers import Follower
from resources_app.hub.replays import Replays
from resources_app.log.head import Bounds


async def catch_up(follower: Follower, replays: Replays, sent: Counter[str], *, once: bool = False) -> Bounds | None:
    """Deliver from the log until the follower's cursor is in its topic's tail; `once`: at most one delivery.

    What it waits with while a client reads is one payload, and nothing of what others share. Returns None at the tail,
    or the log's bounds when what the follower needs next has been trimmed, or is not what was written.
    Raises Unavailable while the keys of what is encrypted are not to be had.
    """
    while follower.attached and follower.cursor < follower.topic.floor:
        await _rest(follower)
        found = await replays.next(follower, once=once)
        if isinstance(found, Bounds):
            return found
        portion = found.portion(follower)
        del found
        if portion.chunk is not None:
            follower.sent_at = follower.busy_since = asyncio.get_running_loop().time()
            if follower.throttle:
                follower.not_before = follower.sent_at + follower.throttle
            await follower.deliver(follower.subscription, portion.chunk.payload, portion.chunk.last)
            follower.busy_since = None
            sent[follower.outlet.transport] += portion.chunk.count
        follower.cursor = portion.cursor
        if once and portion.chunk is not None:
            return None
    return None


async def _rest(follower: Follower) -> None:
    if follower.throttle:
        await asyncio.sleep(max(0.0, follower.not_before - asyncio.get_running_loop().time()))
