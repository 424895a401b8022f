"""A transaction that took its turn in the log and sleeps keeps its place before all that commit later (quality 8)."""

import asyncio
from functools import partial

import psycopg

from tests.scenarios.watching import watching
from tests.stack.cluster import Cluster
from tests.stack.door import Door, clients
from tests.stack.waiting import PATIENCE, eventually

SLEEP_SECONDS = 1.0


async def keep_the_turn(cluster: Cluster, door: Door) -> None:
    """A takes the next offset and sleeps; others write over every transport. Followers get A, then the others."""
    tree, token = cluster.tree(), cluster.token("alice")
    async with clients(door, token) as writers:
        first = (await writers["rest"].call("resources/write", uri=f"{tree}a", content="first"))["offset"]
        async with watching(door, token, f"{tree}*", first) as watched:
            with cluster.truth.main.transaction(commits=True) as a:
                taken = take_turn(a, first)
                later = [
                    asyncio.create_task(writer.call("resources/write", uri=f"{tree}{number}", content="later"))
                    for number, writer in enumerate(writers.values())
                ]
                await eventually(partial(holds_somebody_up, a), PATIENCE, "somebody else waits for a turn")
                answered, _ = await asyncio.wait(later, timeout=SLEEP_SECONDS)
                assert not answered, "somebody was answered before A had committed"
                early = {transport: watch.events for transport, watch in watched.items() if watch.events}
                assert not early, f"something was handed on before A had committed: {early}"
            answers = {(await answer)["offset"]: number for number, answer in enumerate(later)}
            due = [(taken, f"{tree}a"), *((offset, f"{tree}{answers[offset]}") for offset in sorted(answers))]
            assert [offset for offset, _ in due] == [*range(taken, taken + 1 + len(writers))], due
            for transport, watch in watched.items():
                await watch.count(len(due))
                got = [(event["offset"], event["subject"]) for event in watch.events]
                assert got == due, f"over {transport} came {got}, not {due}"


def take_turn(transaction: psycopg.Cursor, like: int) -> int:
    """Take the next offset of the log for an event like another one, as the writer does; returns it."""
    transaction.execute("UPDATE resources_app_loghead SET head = head + 1 WHERE stream = 'changes' RETURNING head")
    row = transaction.fetchone()
    assert row is not None
    transaction.execute(
        'INSERT INTO resources_app_event ("offset", uri, type, version, time, meta, kind, body)'
        " SELECT %s, uri, 'updated', version + 1, now(), meta, kind, body"
        ' FROM resources_app_event WHERE "offset" = %s',
        [row[0], like],
    )
    return int(row[0])


def holds_somebody_up(transaction: psycopg.Cursor) -> bool:
    """Whether another connection waits for what this one has locked."""
    transaction.execute(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
    )
    row = transaction.fetchone()
    return row is not None and row[0] > 0
