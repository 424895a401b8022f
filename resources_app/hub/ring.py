"""The ring tells other processes to look at the log. It carries no truth: a lost ring only delays (architecture §3)."""

import asyncio
import logging
import random
from collections.abc import Coroutine
from typing import Any

from channels.layers import get_channel_layer

from resources_app.hub.hub import Hub

log = logging.getLogger(__name__)

GROUP = "log"
GATHER_SECONDS = 0.003
MAX_BACKOFF_SECONDS = 2.0
SEND_SECONDS = 2.0


class Ring:
    """Rings for one hub, and listens for the others; rings sent close together are one."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._layer = get_channel_layer()
        self._pending = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_up = True

    def start(self) -> None:
        """Begin to listen, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._hub.on_own_commit(self.ring)
        self._spawn(self._listen())

    async def stop(self) -> None:
        """Stop listening."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def ring(self) -> None:
        """Tell the others, soon."""
        if not self._pending:
            self._pending = True
            self._loop.call_later(GATHER_SECONDS, lambda: self._spawn(self._send()))

    async def _send(self) -> None:
        self._pending = False
        try:
            await asyncio.wait_for(self._layer.group_send(GROUP, {"type": "ring"}), SEND_SECONDS)
        except Exception as error:
            self._down(error)

    async def _listen(self) -> None:
        backoff = 0.1
        while True:
            try:
                channel = await self._layer.new_channel()
                await self._layer.group_add(GROUP, channel)
                self._up()
                backoff = 0.1
                self._hub.ring()
                while True:
                    await self._layer.receive(channel)
                    self._hub.ring()
            except Exception as error:
                self._down(error)
                await asyncio.sleep(backoff * random.uniform(0.5, 1.5))
                backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)

    def _up(self) -> None:
        if not self.is_up:
            log.info("the ring is back")
        self.is_up = True

    def _down(self, error: Exception) -> None:
        if self.is_up:
            log.warning("the ring is away, the log is polled meanwhile: %s", error)
        self.is_up = False

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
