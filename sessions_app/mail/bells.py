"""Bells: they tell whoever waits for something in a mailbox to look, on this node and on the others."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Final

from channels.layers import get_channel_layer

from audit_app.recovery import RING

log = logging.getLogger(__name__)

GROUP: Final = "mail"
SEND_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 1.0
"""How often whoever waits looks when no bell rings."""


class Bell:
    """Rings when something has come for a session."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, seconds: float = LOOK_SECONDS) -> None:
        """Until it rings, or somebody should look anyway."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        self._rung.clear()


class Bells:
    """The bells of this process, by session; those of others are rung over the channel layer, if it is shared."""

    def __init__(self) -> None:
        self._bells: dict[str, set[Bell]] = {}
        self._listeners: list[Callable[[str, str], None]] = []
        self._layer: Any = None
        self._listening: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._bells)

    def start(self) -> None:
        """Ring on other nodes, too, and be rung by them."""
        self._layer = get_channel_layer()
        self._listening = asyncio.get_running_loop().create_task(self._listen())

    async def stop(self) -> None:
        listening, self._listening, self._layer = self._listening, None, None
        if listening is not None:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    def on_ring(self, listener: Callable[[str, str], None]) -> None:
        """Call with the session and the box for everything that comes, on any node. Calls may be lost."""
        self._listeners.append(listener)

    def hang(self, session_id: str, bell: Bell) -> None:
        self._bells.setdefault(session_id, set()).add(bell)

    def take(self, session_id: str, bell: Bell) -> None:
        bells = self._bells.get(session_id, set())
        bells.discard(bell)
        if not bells:
            self._bells.pop(session_id, None)

    async def ring(self, session_id: str, box: str) -> None:
        """Something has come. What does not get through to others, they find when they look."""
        self._rung(session_id, box)
        if self._layer is not None:
            # any error of whatever driver the layer has
            with contextlib.suppress(Exception):
                async with asyncio.timeout(SEND_SECONDS):
                    await self._layer.group_send(GROUP, {"type": "mail", "session": session_id, "box": box})

    def _rung(self, session_id: str, box: str) -> None:
        for listener in self._listeners:
            listener(session_id, box)
        for bell in self._bells.get(session_id, ()):
            bell.ring()

    async def _listen(self) -> None:
        layer, channel = self._layer, ""
        while True:
            try:
                if not channel:
                    made = await layer.new_channel()
                    await layer.group_add(GROUP, made)
                    channel = made
                message = await layer.receive(channel)
                self._rung(message["session"], message["box"])
            except Exception:
                log.warning("a bell could not be heard", exc_info=True)
                await asyncio.sleep(RING.rest_seconds)
