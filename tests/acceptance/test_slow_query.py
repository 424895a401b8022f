"""One method's query that waits in the database keeps nobody else waiting (quality 11)."""

from tests.scenarios.slow_query import hold_a_query, neighbours
from tests.stack.cluster import Cluster
from tests.stack.gateway import Gateway
from tests.stack.waiting import PATIENCE

ANSWERS = 100


async def test_others_are_answered_while_a_query_waits(pair: Cluster, haproxy: Gateway) -> None:
    """However long it waits; how soon they are is measured by `make chaos`."""
    async with neighbours(pair, haproxy) as made:
        await hold_a_query(pair, haproxy, made, lambda: len(made.took) >= ANSWERS, within=PATIENCE)
