"""One reader that stops costs the others nothing, and itself the connection (quality 10), over each transport."""

import pytest

from tests.scenarios.stopped import CLOSED_SECONDS, GROWN_MOST, MEBIBYTE, TRANSPORTS, stop_reading
from tests.stack.cluster import Cluster
from tests.stack.door import Door

OTHERS = 10


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_reader_that_stops_is_closed_and_nobody_else_notices(
    stack: Cluster, front_door: Door, transport: str
) -> None:
    came_to = await stop_reading(stack, front_door, transport, OTHERS)
    assert came_to.closed_seconds <= CLOSED_SECONDS
    assert came_to.grown_bytes <= GROWN_MOST, f"{came_to.grown_bytes / MEBIBYTE:.1f} MiB more"
