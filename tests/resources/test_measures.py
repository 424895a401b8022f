"""What is told of followers that are behind: of durable subscriptions by the log, of live ones by their topics."""

import asyncio

import pytest
from django.utils.timezone import now
from prometheus_client import REGISTRY
from pytest_django import Settings

from audit_app.database import in_database
from audit_app.writer import Writer
from erlmcp_site.environment import Retention
from resources_app.hub import flusher
from resources_app.hub.hub import Hub
from resources_app.hub.slow_topics import slowest
from resources_app.log.measures import measure_subscriptions
from resources_app.models import LogHead, Subscription
from tests.resources.commands import write
from tests.resources.outlets import Client, following
from tests.resources.states import URI
from tests.stack.waiting import eventually

KEPT = "resource://kept.local/"


def subscribe(pattern: str, offset: int) -> None:
    Subscription.objects.create(
        id=f"{pattern} {offset}", pattern=pattern, user_id="1", events="", options="{}", offset=offset, created_at=now()
    )


def log_from(earliest: int, head: int, prefixes: str = "{}") -> None:
    LogHead.objects.filter(stream="changes").update(earliest=earliest, head=head, prefixes=prefixes)


def told() -> dict[str, float | None]:
    measure_subscriptions()
    names = ("log_earliest", "subscriptions", "subscriptions_lost", "subscription_headroom")
    return {name: REGISTRY.get_sample_value(f"erlmcp_{name}") for name in names}


def test_without_subscriptions_the_whole_log_is_headroom(heads: None) -> None:
    log_from(101, 300)
    assert told() == {"log_earliest": 101, "subscriptions": 0, "subscriptions_lost": 0, "subscription_headroom": 200}


def test_a_subscription_is_lost_once_the_event_behind_it_is_gone(heads: None) -> None:
    log_from(101, 300)
    for offset in (99, 100, 250):
        subscribe(URI, offset)
    assert told() == {"log_earliest": 101, "subscriptions": 3, "subscriptions_lost": 1, "subscription_headroom": 0}


def test_headroom_is_that_of_the_subscription_which_is_next(heads: None) -> None:
    log_from(101, 300)
    for offset in (20, 130, 250):
        subscribe(URI, offset)
    assert told()["subscription_headroom"] == 30


def test_each_subscription_is_held_to_its_own_part_of_the_log(heads: None) -> None:
    log_from(101, 300, f'{{"{KEPT}": 11}}')
    for pattern, offset in ((f"{KEPT}a", 20), (f"{KEPT}*", 9), ("resource://other/a", 50), ("resource://other/*", 150)):
        subscribe(pattern, offset)
    found = told()
    assert (found["log_earliest"], found["subscriptions_lost"], found["subscription_headroom"]) == (101, 2, 10)


async def test_a_follower_that_falls_out_of_the_log_is_counted(
    hub: Hub, writer: Writer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources_app.hub.topics.MAX_TAIL_EVENTS", 4)
    settings.LOG_RETENTION_PREFIXES = {URI: Retention(1, None)}
    before = REGISTRY.get_sample_value("erlmcp_follower_resets_total") or 0
    client = Client(gate=asyncio.Event())
    hub.begin(await hub.follow(following(URI), client))
    for number in range(20):
        await writer.submit(write(number))
    await in_database(lambda: log_from(20, 20))
    assert client.gate is not None
    client.gate.set()
    await eventually(lambda: client.resets, 30, "the follower is told")
    assert REGISTRY.get_sample_value("erlmcp_follower_resets_total") == before + 1


async def test_a_topic_is_slow_while_something_waits_and_once_somebody_was_cut(
    hub: Hub, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = REGISTRY.get_sample_value("erlmcp_followers_cut_total") or 0
    stuck, fast = Client(gate=asyncio.Event()), Client()
    for client in (stuck, fast):
        hub.begin(await hub.follow(following(URI), client))
    await writer.submit(write(1))
    await eventually(lambda: fast.offsets == [1], 30, "the others have it")
    assert slowest(hub.topics, 10) == []
    await writer.submit(write(2))
    await eventually(lambda: fast.offsets == [1, 2], 30, "the others have it")
    (slow,) = slowest(hub.topics, 10)
    assert (str(slow.pattern), slow.followers, slow.behind, slow.cut) == (URI, 2, 1, 0)
    assert slow.waiting_seconds >= 0
    monkeypatch.setattr(flusher, "SLOW_SECONDS", 0.0)
    await eventually(lambda: stuck.cuts, 30, "the client is cut")
    (slow,) = slowest(hub.topics, 10)
    assert (slow.followers, slow.behind, slow.cut) == (1, 0, 1)
    assert slowest(hub.topics, 0) == []
    assert REGISTRY.get_sample_value("erlmcp_followers_cut_total") == before + 1
