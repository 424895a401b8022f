"""Outlets that remember what they were handed, as clients of a transport would have received it."""

import asyncio
from collections.abc import Sequence
from typing import Any

from resources_app.hub.followers import Follower, Following, Form
from resources_app.log.events import LoggedEvent
from resources_app.patterns import parse_pattern
from tests.stack.waiting import eventually


def offsets(events: Sequence[LoggedEvent], texts: Sequence[str]) -> list[tuple[int, str]]:
    return [(event.offset, event.uri) for event in events]


class Client:
    """Takes everything at once; with `gate`, only while that is open."""

    transport = "test"
    form: Form = staticmethod(offsets)

    def __init__(self, gate: asyncio.Event | None = None) -> None:
        self.followers: dict[str, Follower] = {}
        self.gate = gate
        self.frames: list[list[tuple[int, str]]] = []
        self.times: list[float] = []
        self.bookmarks: list[int] = []
        self.resets: list[tuple[int, int]] = []
        self.deletions: list[str] = []
        self.cuts = 0

    async def deliver(self, subscription: str, payload: Any, last: int) -> None:
        if self.gate is not None:
            await self.gate.wait()
        assert payload[-1][0] == last
        self.frames.append(payload)
        self.times.append(asyncio.get_running_loop().time())

    async def bookmark(self, subscription: str, offset: int) -> None:
        self.bookmarks.append(offset)

    async def reset(self, subscription: str, earliest: int, head: int) -> None:
        self.resets.append((earliest, head))

    def deleted(self, subscription: str) -> None:
        self.deletions.append(subscription)

    def cut(self, subscription: str) -> None:
        self.deletions.append(subscription)

    def slow(self) -> None:
        self.cuts += 1

    @property
    def offsets(self) -> list[int]:
        return [offset for frame in self.frames for offset, _ in frame]


class Broken(Client):
    """Raises at every delivery."""

    async def deliver(self, subscription: str, payload: Any, last: int) -> None:
        raise ConnectionResetError("the client is gone")


def following(pattern: str, **wants: Any) -> Following:
    return Following(subscription="s", pattern=parse_pattern(pattern), **wants)


async def arrive(client: Client, count: int) -> None:
    """Wait until a client has been handed so many events."""
    await eventually(lambda: len(client.offsets) >= count, 30, f"{count} events arrive")
