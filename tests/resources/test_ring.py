"""The ring between processes: what it cannot tell now, it tells when it can, and nothing on it does any harm."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer, channel_layers

from audit_app.writer import Writer
from resources_app.hub.hub import Hub
from resources_app.hub.ring import GROUP, Ring
from tests.resources.commands import write
from tests.stack.waiting import eventually


class MortalLayer(InMemoryChannelLayer):
    """Raises while it is away, and when it is given garbage."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.sent = 0

    async def group_send(self, group: str, message: Any) -> None:
        if self.is_away:
            raise ConnectionRefusedError("nobody listens")
        self.sent += 1
        await super().group_send(group, message)

    async def receive(self, channel: str) -> Any:
        message = await super().receive(channel)
        if message["type"] == "garbage":
            raise ValueError("this is no message")
        return message


@pytest.fixture
def layer() -> Iterator[MortalLayer]:
    layer = MortalLayer()
    before = channel_layers.set("default", layer)
    yield layer
    channel_layers.set("default", before)


@pytest.fixture
async def ring(hub: Hub, layer: MortalLayer) -> AsyncIterator[Ring]:
    ring = Ring(hub)
    ring.start()
    yield ring
    await ring.stop()


async def test_a_ring_that_could_not_be_told_is_told_when_it_can_be(
    ring: Ring, layer: MortalLayer, writer: Writer
) -> None:
    """Without another commit: a process that has nothing more to say finds out, too, that the ring is back."""
    layer.is_away = True
    for number in range(20):
        await writer.submit(write(number))
    await eventually(lambda: not ring.is_up, 30, "it is known that nobody can be told")
    layer.is_away = False
    await eventually(lambda: ring.is_up, 30, "the ring is tried again")
    assert layer.sent == 1


async def test_garbage_on_the_ring_is_passed_over(ring: Ring, layer: MortalLayer, writer: Writer) -> None:
    await eventually(lambda: layer.groups.get(GROUP), 30, "it listens")
    await layer.group_send(GROUP, {"type": "garbage"})
    await writer.submit(write(1))
    await eventually(lambda: not any(queue.qsize() for queue in layer.channels.values()), 30, "it goes on listening")
    assert ring.is_up
