"""Many clients that are cut at once and come back at once are all there again soon, and miss nothing (quality 11).

`make chaos` does it with 2,000 of them.
"""

from tests.scenarios.storm import BACK_SECONDS, come_back
from tests.stack.cluster import Cluster
from tests.stack.door import Door

CLIENTS = 100


async def test_all_are_back_in_time_and_share_what_is_read_of_the_log(stack: Cluster, front_door: Door) -> None:
    storm = await come_back(stack, front_door, CLIENTS)
    assert storm.back_seconds <= BACK_SECONDS
    # each for itself, they would need two at least
    assert storm.loads <= CLIENTS / 2, f"{storm.loads} reads of the log"
