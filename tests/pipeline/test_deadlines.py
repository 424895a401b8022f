"""A request is answered by its deadline, whatever its handler waits for."""

import asyncio
import time
from typing import Any

import pytest
from pytest_django import Settings
from rest_framework import serializers

from audit_app.deadlines import deadline
from erlmcp_site.pipeline.messages import Credentials, Reply, Request
from erlmcp_site.pipeline.method import Method
from erlmcp_site.pipeline.passage import Passage
from erlmcp_site.pipeline.runner import Pipeline
from tests.pipeline.calls import ask, code, entries_of, token_of
from tests.stack.waiting import eventually

pytestmark = pytest.mark.usefixtures("running")


async def run(handler: Any, timeout: str | None = None, seconds: float | None = None) -> Reply:
    params: serializers.Serializer[Any] = serializers.Serializer()
    method = Method(name="test/wait", run=handler, params=params, needs=None, public=True, reads=True, seconds=seconds)
    return await Pipeline({"test/wait": method}).run(
        Request(
            id="request-that-waits",
            method="test/wait",
            params={},
            transport="rest",
            timestamp=time.time(),
            metadata={} if timeout is None else {"request-timeout": timeout},
        )
    )


async def for_ever(passage: Passage) -> Any:
    await asyncio.Event().wait()


async def test_who_waits_in_vain_is_told_in_time_and_on_record() -> None:
    started = time.monotonic()
    reply = await run(for_ever, "0.2")
    assert 0.19 < time.monotonic() - started < 20
    assert reply.refusal is not None
    assert (reply.refusal.code, reply.refusal.category, reply.outcome) == ("deadline_exceeded", "retryable", "error")
    assert reply.refusal.data == {"outcome": "not_done"}

    async def told() -> bool:
        return [entry["code"] for entry in await entries_of(reply)] == ["deadline_exceeded"]

    await eventually(told, 30, "the entry")


async def test_the_caller_comes_before_the_method_and_the_method_before_the_setting(settings: Settings) -> None:
    async def left(passage: Passage) -> Any:
        moment = deadline.get()
        assert moment is not None
        return moment - time.monotonic()

    settings.REQUEST_TIMEOUT_SECONDS = 7.0
    for timeout, seconds, expected in ((None, None, 7), (None, 90.0, 90), ("3", 90.0, 3), ("2.5", None, 2.5)):
        began = time.monotonic()
        found = (await run(left, timeout, seconds)).result
        assert expected - (time.monotonic() - began) <= found <= expected
    assert deadline.get() is None


async def test_what_a_handler_began_is_undone() -> None:
    undone = []

    async def begin(passage: Passage) -> Any:
        passage.undo = lambda: undone.append(True)
        await asyncio.Event().wait()

    reply = await run(begin, "0.05")
    assert code(reply) == "deadline_exceeded" and undone == [True] and reply.then is None


async def test_who_asks_under_a_key_is_not_told_that_nothing_was_done() -> None:
    """It may have asked before."""
    params: serializers.Serializer[Any] = serializers.Serializer()
    reply = await Pipeline({"test/wait": Method(name="test/wait", run=for_ever, params=params, needs=None)}).run(
        Request(
            id="repeat-that-waits",
            method="test/wait",
            params={},
            transport="rest",
            timestamp=time.time(),
            credentials=Credentials(token=await token_of("alice")),
            metadata={"request-timeout": "0.2", "idempotency-key": "3b0e"},
        )
    )
    assert reply.refusal is not None and reply.refusal.data == {"outcome": "unknown"}


async def test_a_time_out_of_the_handlers_own_is_a_failure_of_ours() -> None:
    async def fail(passage: Passage) -> Any:
        raise TimeoutError

    assert code(await run(fail)) == "internal_error"


@pytest.mark.parametrize("timeout", ["", "0", "-1", "soon", "1e3", "601", "nan", "inf", "1 s", "0.0", "٣"])
async def test_a_limit_that_is_none_is_refused(timeout: str) -> None:
    assert code(await run(for_ever, timeout)) == "invalid_params"


@pytest.mark.parametrize("timeout", [True, False, None, "1s", [], {}, -1, 0, 10**9])
async def test_so_is_one_among_the_parameters(timeout: Any) -> None:
    reply = await ask("resources/list", {"request_timeout": timeout}, await token_of("bob"))
    assert code(reply) == (None if timeout is None else "invalid_params")


@pytest.mark.parametrize("timeout", [4.999831199645996, 0.1 + 0.2, 3e-5, 600, "4.999831199645996"])
async def test_a_limit_may_be_what_is_left_of_another_one(timeout: Any) -> None:
    reply = await ask("resources/list", {"request_timeout": timeout}, await token_of("bob"))
    assert code(reply) in {None, "deadline_exceeded"}


async def test_a_cancelled_request_is_no_late_one() -> None:
    task = asyncio.create_task(run(for_ever))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
