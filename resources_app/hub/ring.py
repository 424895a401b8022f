"""The ring tells other processes to look at the log. It carries no truth: a lost ring only delays (architecture §3)."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any

from channels.layers import get_channel_layer

from audit_app.breaker import Breaker, PartAway
from audit_app.recovery import RING
from resources_app.hub.hub import Hub

log = logging.getLogger(__name__)

GROUP = "log"
GATHER_SECONDS = 0.003
SEND_SECONDS = 2.0


class Ring:
    """Rings for one hub, and listens for the others; rings sent close together are one."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._layer = get_channel_layer()
        self._pending = False
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        # a channel layer raises whatever its driver does
        self._breaker = Breaker(RING, counts=lambda error: True)

    @property
    def is_up(self) -> bool:
        """Whether the last ring went out, as far as is known."""
        return not self._breaker.is_open

    def start(self) -> None:
        """Begin to listen, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._hub.on_own_commit(self.ring)
        self._spawn(self._listen())

    async def stop(self) -> None:
        """Stop listening, and ring no more."""
        if self._timer is not None:
            self._timer.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def ring(self) -> None:
        """Tell the others, soon."""
        if not self._pending:
            self._pending = True
            self._timer = self._loop.call_later(GATHER_SECONDS, lambda: self._spawn(self._send()))

    async def _send(self) -> None:
        """Ring, however long that takes; what is committed meanwhile needs no ring of its own."""
        while True:
            self._pending = False
            with contextlib.suppress(PartAway), self._breaker.guard():
                async with asyncio.timeout(SEND_SECONDS):
                    await self._layer.group_send(GROUP, {"type": "ring"})
                return
            self._pending = True
            await asyncio.sleep(RING.rest_seconds)

    async def _listen(self) -> None:
        """Look at the log whenever somebody rings. Once subscribed, the layer connects again by itself."""
        channel = await self._subscribe()
        while True:
            self._hub.ring()
            try:
                await self._layer.receive(channel)
            except Exception:
                log.warning("a ring could not be read", exc_info=True)
                await asyncio.sleep(RING.rest_seconds)

    async def _subscribe(self) -> str:
        """The channel on which the others' rings come, as soon as there is one."""
        channel = ""
        while True:
            with contextlib.suppress(PartAway), self._breaker.guard():
                channel = channel or await self._layer.new_channel()
                await self._layer.group_add(GROUP, channel)
                return channel
            await asyncio.sleep(RING.rest_seconds)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
