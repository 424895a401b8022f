"""A flood of refused requests does not flood the trail, and nothing of it is lost."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from audit_app.database import in_database
from audit_app.models import OutboxEntry
from audit_app.queues import Queue
from erlmcp_site.environment import Rate
from erlmcp_site.node import node
from sessions_app.errors import RateLimited
from sessions_app.limits import limits
from sessions_app.refused import ACTION, Refused
from tests.pipeline.calls import ask, code, token_of
from tests.sessions.conftest import entry
from tests.stack.waiting import PATIENCE, eventually


async def entries() -> list[dict[str, Any]]:
    """The entries of what was refused by a limit, in the order in which they were made."""
    rows = await in_database(lambda: list(OutboxEntry.objects.order_by("pk").values_list("queue", "entry")))
    told = [orjson.loads(text) | {"queue": queue} for queue, text in rows]
    return [one for one in told if one["code"] == "rate_limited"]


@pytest.fixture
async def limited(running: dict[str, User], settings: Settings) -> AsyncIterator[dict[str, User]]:
    """A node where a caller has three requests an hour."""
    settings.RATE_LIMIT_CALLER = Rate(amount=3, seconds=3600)
    settings.RATE_LIMIT_ENTRY_SECONDS = 3600
    limits.forget()
    yield running
    limits.forget()


async def flood(token: str, times: int) -> int:
    """Ask so many times; returns how many were refused."""
    return [code(await ask("sessions/list", {}, token)) for _ in range(times)].count("rate_limited")


async def test_the_first_refusal_leaves_its_entry_and_the_rest_one_when_the_node_ends(
    limited: dict[str, User],
) -> None:
    token = await token_of("alice")
    assert await flood(token, 43) == 40
    (first,) = await entries()
    assert (first["action"], first["queue"], first["outcome"]) == ("sessions/list", Queue.SECURITY, "refused")
    assert first["user"] == "alice"
    await node.stop()
    _, rest = await entries()
    assert (rest["action"], rest["queue"], rest["outcome"]) == (ACTION, Queue.SECURITY, "refused")
    assert (rest["user"], rest["resource_type"], rest["resource_id"]) == ("alice", "limit", "caller")
    assert rest["details"]["count"] == 39
    assert rest["details"]["first"] <= rest["details"]["last"]
    assert rest["details"]["last_action"] == "sessions/list"


async def test_each_caller_has_entries_of_its_own(limited: dict[str, User]) -> None:
    for name in ("alice", "bob"):
        await flood(await token_of(name), 5)
    assert [one["user"] for one in await entries()] == ["alice", "bob"]


async def test_when_the_period_is_over_one_entry_tells_and_the_next_refusal_is_a_first_one(
    limited: dict[str, User], settings: Settings
) -> None:
    settings.RATE_LIMIT_ENTRY_SECONDS = 3
    token = await token_of("alice")
    assert await flood(token, 10) == 7

    async def is_told() -> bool:
        # of those after a first one; on a slow machine the period may end amid the flood, and another begin
        told = await entries()
        return any(one["action"] == ACTION for one in told) and sum(one["details"].get("count", 1) for one in told) == 7

    await eventually(is_told, PATIENCE, "the flood is told of")
    settings.RATE_LIMIT_ENTRY_SECONDS = 3600
    before = len(await entries())
    assert await flood(token, 2) == 2
    told = await entries()
    assert [one["action"] for one in told[before:]] == ["sessions/list"]


async def test_of_a_single_refusal_nothing_more_is_told(limited: dict[str, User]) -> None:
    await flood(await token_of("alice"), 4)
    await node.stop()
    assert len(await entries()) == 1


async def test_more_addresses_than_are_told_apart_are_counted_together(running: dict[str, User]) -> None:
    refused = Refused(max_keys=10)
    refusal = RateLimited(policy="address")
    for number in range(100):
        from_there = replace(entry(), source_ip=f"192.0.2.{number}")
        assert refused.is_gathered(from_there, refusal) is (number >= 10)
    await refused.tell_all()
    (together,) = await entries()
    assert together["details"]["count"] == 90
    assert together["source_ip"] == ""
