"""What makes this process unready: draining, a log that it does not follow, a writer that cannot keep up."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from erlmcp_site.node import node
from erlmcp_site.readiness import LogLag, database, disk, ring, serving, writing
from resources_app.hub.hub import hub
from telemetry_app.health import Degraded, Unhealthy
from tests.stack.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def running_node() -> AsyncIterator[None]:
    await node.start()
    yield
    await node.stop()


async def test_a_node_that_follows_the_log_is_well(running_node: None):
    assert await serving() == "serving"
    assert await database() in {"sqlite", "postgresql"}
    assert (await LogLag()()).startswith(f"at {hub.position} of ")
    assert "waiting" in await writing()

    async def rings() -> bool:
        return await ring() == "up"

    await eventually(rings, 5, "the ring is up")


async def test_the_disk_is_told_and_one_that_runs_short_is_degraded_only(settings: Any):
    settings.DISK_LOW_BYTES = 0
    assert "MiB left" in await disk()
    settings.DISK_LOW_BYTES = 2**62
    with pytest.raises(Degraded):
        await disk()


async def test_startup_begins_what_nobody_has_begun_and_says_when_it_is_done():
    assert not node.start_soon()
    await eventually(node.start_soon, 10, "the node has started")
    await node.stop()


async def test_a_process_that_does_not_follow_the_log_is_not_ready():
    with pytest.raises(Unhealthy):
        await LogLag()()


async def test_a_process_that_was_told_to_end_is_unready_before_it_lets_go_of_anybody(running_node: None):
    draining = asyncio.create_task(node.drain(within=0.1, notice=60))
    await asyncio.wait_for(node.ending.wait(), 5)
    with pytest.raises(Unhealthy):
        await serving()
    assert not node.draining.is_set()
    draining.cancel()


async def test_a_draining_process_is_not_ready(running_node: None):
    await asyncio.wait_for(node.drain(within=0.1), 5)
    with pytest.raises(Unhealthy):
        await serving()
