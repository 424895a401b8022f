"""Profiling this process on demand: where its event loop spends its time, for a few seconds, by statistical samples."""

import asyncio
import contextlib
from collections.abc import Mapping
from os import getpid
from typing import Any

from pyinstrument import Profiler
from pyinstrument.renderers import ConsoleRenderer, HTMLRenderer, Renderer, SpeedscopeRenderer

from audit_app.errors import Refusal
from erlmcp_site.node import node

MOST_SECONDS = 60.0
INTERVAL_SECONDS = 0.001

FORMS: Mapping[str, type[Renderer]] = {"text": ConsoleRenderer, "html": HTMLRenderer, "speedscope": SpeedscopeRenderer}


class ProfileUnderWay(Refusal):
    """A profile of this process is being taken already."""

    code = "unavailable"
    category = "retryable"


class OtherProcess(Refusal):
    """This is another process of the node: ask again, over another connection."""

    code = "resource_not_found"


class Profiles:
    """Takes one profile at a time."""

    def __init__(self) -> None:
        self._under_way: asyncio.Event | None = None

    async def take(self, seconds: float, form: str, pid: int | None = None) -> dict[str, Any]:
        """What the thread of the running event loop does in so many seconds, as a text of that form.

        `pid` says of which process it has to be. Raises OtherProcess, ProfileUnderWay.
        """
        if pid not in (None, getpid()):
            raise OtherProcess(pid=getpid())
        if self._under_way is not None:
            raise ProfileUnderWay(retry_after=seconds)
        self._under_way = ends = asyncio.Event()
        try:
            # of the whole thread: the asynchronous mode would follow this one task, which only sleeps
            profiler = Profiler(INTERVAL_SECONDS, async_mode="disabled")
            profiler.start()
            try:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(ends.wait(), seconds)
            finally:
                session = profiler.stop()
            text = await asyncio.to_thread(FORMS[form]().render, session)
        finally:
            self._under_way = None
        return {
            "pid": getpid(),
            "seconds": session.duration,
            "samples": session.sample_count,
            "format": form,
            "profile": text,
        }

    async def let_go(self, within: float) -> None:
        """The process is about to end: what is taken is over now."""
        if self._under_way is not None:
            self._under_way.set()


profiles = Profiles()
node.on_drain(profiles.let_go)
