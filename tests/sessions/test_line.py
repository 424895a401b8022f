"""What a process asks of Redis in passing goes over one connection, and nobody waits twice for one that hangs."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from sessions_app.line import EXCHANGE_SECONDS, Line
from tests.stack.redis_server import RedisServer


@pytest.fixture
async def line(server: RedisServer) -> AsyncIterator[Line]:
    line = Line(server.url)
    yield line
    await line.close()


async def reads(redis: Redis) -> int:
    """How many messages the server has read, this question included."""
    return int((await redis.info("stats"))["total_reads_processed"])


async def test_what_is_asked_in_one_turn_is_one_round_trip(line: Line, redis: Redis) -> None:
    await line.ask(("SET", "a", 1))
    before = await reads(redis)
    one, two, three = await asyncio.gather(
        line.ask(("GET", "a"), ("GET", "b")), line.ask(("INCR", "a")), line.ask(("GET", "a"))
    )
    assert (one, two, three) == ([b"1", None], [2], [b"2"])
    assert await reads(redis) - before == 2


async def test_an_error_that_redis_answers_concerns_nobody_else(line: Line) -> None:
    wrong, right = await asyncio.gather(line.ask(("HGET", "a", "b", "c"), ("PING",)), line.ask(("PING",)))
    assert isinstance(wrong[0], ResponseError)
    assert wrong[1] == right[0] == b"PONG"


async def test_whoever_gives_up_leaves_the_answers_of_others_alone(line: Line) -> None:
    tasks = [asyncio.create_task(line.ask(("ECHO", number))) for number in range(10)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert answers[1::2] == [[b"%d" % number] for number in range(1, 10, 2)]
    assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[::2])


async def test_all_who_asked_a_redis_that_hangs_are_let_go_together(line: Line, server: RedisServer) -> None:
    await line.ask(("PING",))
    server.process.send(signal.SIGSTOP)
    try:
        first = asyncio.create_task(line.ask(("PING",)))
        # it asks in its first turn, and the exchange begins in the next; later ones wait for its end
        for _ in range(3):
            await asyncio.sleep(0)
        later = [asyncio.create_task(line.ask(("PING",))) for _ in range(5)]
        done, _ = await asyncio.wait([first, *later], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)
        assert first in done and all(task.done() for task in later)
        assert all(isinstance(task.exception(), RedisError | OSError) for task in [first, *later])
    finally:
        server.process.send(signal.SIGCONT)
    assert await line.ask(("PING",)) == [b"PONG"]


async def test_an_answer_that_came_while_the_process_stood_still_is_taken(line: Line) -> None:
    await line.ask(("PING",))
    asked = asyncio.create_task(line.ask(("PING",)))
    for _ in range(3):
        await asyncio.sleep(0)
    # nothing is waited for: the loop is to stand still for longer than an answer is
    time.sleep(EXCHANGE_SECONDS + 0.2)  # noqa: ASYNC251
    assert await asked == [b"PONG"]


async def test_a_new_connection_is_told_of_before_anything_is_asked_over_it(line: Line, server: RedisServer) -> None:
    told: list[bool] = []
    line.on_connect = lambda: told.append(line.is_connected)
    await line.ask(("PING",))
    await line.ask(("PING",))
    assert len(told) == 1
    server.kill()
    with pytest.raises((RedisError, OSError)):
        await line.ask(("PING",))
    server.start_again()
    assert await line.ask(("PING",)) == [b"PONG"]
    assert len(told) == 2
