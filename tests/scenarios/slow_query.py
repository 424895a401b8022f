"""One method's query takes long, and nobody else waits for it (quality 11)."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from tests.scenarios.turn import holds_somebody_up
from tests.stack.cluster import Cluster
from tests.stack.door import Client, Door, clients
from tests.stack.waiting import PATIENCE, eventually

PAUSE_SECONDS = 0.004


class Neighbours:
    """Callers over each transport who read and write meanwhile; `took` are the seconds that each answer did."""

    def __init__(self) -> None:
        self.took: list[float] = []

    async def run(self, client: Client, tree: str) -> None:
        """For ever: calls of several kinds, one after the other."""
        for number in itertools.count():
            uri = f"{tree}{number % 7}"
            for asking in (
                partial(client.call, "resources/write", uri=uri, content=number),
                partial(client.call, "resources/read", uri=uri),
                partial(client.call, "resources/list", prefix=tree),
            ):
                began = time.perf_counter()
                await asking()
                self.took.append(time.perf_counter() - began)
                await asyncio.sleep(PAUSE_SECONDS)

    async def answers(self, count: int) -> None:
        """Wait until so many have come."""
        await eventually(lambda: len(self.took) >= count, PATIENCE, f"{count} answers")


@asynccontextmanager
async def neighbours(cluster: Cluster, door: Door) -> AsyncIterator[Neighbours]:
    """Callers at work over each transport; raises what one of them raised."""
    made, tree, token = Neighbours(), cluster.tree(), cluster.token("alice")
    async with clients(door, token) as callers:
        working = [asyncio.create_task(made.run(caller, f"{tree}{name}/")) for name, caller in callers.items()]
        try:
            yield made
        finally:
            for task in working:
                task.cancel()
            ended = await asyncio.gather(*working, return_exceptions=True)
        for outcome in ended:
            if not isinstance(outcome, asyncio.CancelledError):
                raise outcome or AssertionError("somebody has stopped to ask")


async def hold_a_query(
    cluster: Cluster, door: Door, made: Neighbours, is_enough: Callable[[], bool], within: float
) -> None:
    """`keys/list` waits for its table over each transport until that is enough; others are answered meanwhile."""
    token = cluster.token("alice")
    async with clients(door, token) as callers:
        known = {key["id"] for key in (await callers["rest"].call("keys/list"))["keys"]}
        with cluster.truth.main.transaction() as holder:
            holder.execute("LOCK TABLE sessions_app_apikey IN ACCESS EXCLUSIVE MODE")
            slow = [asyncio.create_task(caller.call("keys/list")) for caller in callers.values()]
            await eventually(partial(holds_somebody_up, holder), PATIENCE, "the query waits")
            made.took.clear()
            await eventually(is_enough, within, Waited(made))
            assert not any(task.done() for task in slow), "the query did not wait for its table"
        for task in slow:
            assert {key["id"] for key in (await task)["keys"]} == known


class Waited:
    """Says how many answers have come, at the moment when it is asked."""

    def __init__(self, made: Neighbours) -> None:
        self._made = made

    def __str__(self) -> str:
        return f"others are answered beside a query that waits: {len(self._made.took)} answers"
