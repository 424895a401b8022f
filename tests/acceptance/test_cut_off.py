"""One node alone cannot reach Redis, and the others can (docs/consistency.md, the row of that name)."""

import time
from collections.abc import Iterator

import pytest

from tests.stack.cluster import Cluster, running
from tests.stack.postgres_server import PostgresServer
from tests.stack.redis_server import RedisServer

ROUNDS = 60
POLL_SECONDS = 1.0
SLACK_SECONDS = 1.0
"""What a busy machine may add to the interval at which a node looks at the log by itself."""
ROUNDS_OF_LAG = 5

OF_ITS_OWN, CUT_OFF = 0, 1


@pytest.fixture(scope="module")
def cut_off(postgres: PostgresServer, mortal_redis: RedisServer) -> Iterator[Cluster]:
    """Two nodes, of which the second has lost its Redis for good."""
    lost = RedisServer()
    with running("postgres+redis", postgres=postgres, redis=mortal_redis, nodes=1) as cluster:
        cluster.environment["LOG_POLL_SECONDS"] = str(POLL_SECONDS)
        cluster.add_node(REDIS_URL=lost.url, CELERY_BROKER_URL=mortal_redis.url)
        lost.stop()
        yield cluster


async def test_read_after_holds_whatever_a_node_cannot_tell_the_others(cut_off: Cluster) -> None:
    uri = f"{cut_off.tree()}counted"
    async with cut_off.rest("alice", CUT_OFF) as there, cut_off.rest("alice", OF_ITS_OWN) as here:
        for number in range(ROUNDS):
            written = await there.call("resources/write", uri=uri, content=number)
            read = await here.call("resources/read", {"Read-After": str(written["offset"])}, uri=uri)
            assert read["content"] == number


async def test_without_it_the_others_lag_no_longer_than_they_take_to_look_at_the_log(cut_off: Cluster) -> None:
    uri = f"{cut_off.tree()}counted"
    async with cut_off.rest("alice", CUT_OFF) as there, cut_off.rest("alice", OF_ITS_OWN) as here:
        await there.call("resources/write", uri=uri, content=-1)
        await here.call("resources/read", {"Read-Consistency": "strong"}, uri=uri)
        seen, lags = -1, []
        for number in range(ROUNDS_OF_LAG):
            await there.call("resources/write", uri=uri, content=number)
            written = time.monotonic()
            while seen < number:
                read = await here.call("resources/read", uri=uri)
                assert read["content"] >= seen, "reads of one node never go back"
                seen = read["content"]
            lags.append(time.monotonic() - written)
        # in one of the rounds this machine may have stood still
        assert sorted(lags)[-2] <= POLL_SECONDS + SLACK_SECONDS, lags
