"""Whoever follows a part of the log that is trimmed gets all of it or is told; a trim of another part is no matter."""

import asyncio
import random
from collections.abc import Callable, Iterator

import pytest
from pytest_django import Settings

from audit_app.database import in_database
from audit_app.writer import Writer
from audit_app.writer import writer as process_writer
from erlmcp_site.environment import Retention
from resources_app.errors import Reset
from resources_app.hub.hub import Hub
from resources_app.log.head import CHANGES, bounds
from resources_app.log.retention import trim
from resources_app.log.rules import trim_by_settings
from resources_app.patterns import parse_pattern
from tests.resources.commands import write
from tests.resources.outlets import Client, following
from tests.stack.waiting import eventually

SHORT = "resource://h/short/"
LONG = "resource://h/long/"
URIS = (f"{SHORT}a", f"{SHORT}b", f"{LONG}a", "resource://h/a", "resource://other/a")
PATTERNS = ("resource://h/*", "resource://h/+", f"{SHORT}*", f"{SHORT}a", f"{LONG}*", f"{LONG}+", "resource://other/*")


@pytest.fixture(autouse=True)
def trimming_process(heads: None) -> Iterator[None]:
    """Trimming goes through the writer of the process, which is not that of the hub."""
    yield
    process_writer.close()


async def fill(writer: Writer, rounds: int) -> list[tuple[int, str]]:
    """Every URI changes once a round. Returns the (offset, URI) of each change."""
    results = await asyncio.gather(*(writer.submit(write(n, uri)) for n in range(rounds) for uri in URIS))
    return [(event.offset, event.uri) for (event,) in results]


@pytest.mark.parametrize(
    ("pattern", "earliest"),
    [
        (f"{SHORT}*", 38),
        (f"{SHORT}a", 38),
        ("resource://h/*", 38),
        ("resource://h/+", 31),
        ("resource://other/*", 31),
        (f"{LONG}*", 1),
        (f"{LONG}a", 1),
    ],
)
async def test_a_pattern_resumes_as_far_back_as_what_it_can_reach_is_kept(
    hub: Hub, writer: Writer, settings: Settings, pattern: str, earliest: int
) -> None:
    settings.LOG_RETENTION_EVENTS = 8
    settings.LOG_RETENTION_PREFIXES = {SHORT: Retention(4, None), LONG: Retention(None, None)}
    written = await fill(writer, 10)
    await in_database(trim_by_settings)
    client, wanted = Client(), parse_pattern(pattern)
    if earliest > 1:
        with pytest.raises(Reset) as reset:
            await hub.follow(following(pattern, after=earliest - 2), client)
        assert reset.value.data == {"earliest": earliest, "head": 50}
    hub.begin(await hub.follow(following(pattern, after=earliest - 1), client))
    due = [offset for offset, uri in written if offset >= earliest and wanted.covers(uri)]
    await eventually(lambda: client.offsets == due, 30, "everything that is kept arrives")
    assert client.resets == []


async def test_a_follower_that_falls_behind_in_a_short_prefix_is_told_and_one_in_a_long_prefix_goes_on(
    hub: Hub, writer: Writer, settings: Settings
) -> None:
    settings.LOG_RETENTION_EVENTS = 8
    settings.LOG_RETENTION_PREFIXES = {SHORT: Retention(4, None), LONG: Retention(None, None)}
    await fill(writer, 10)
    short, long = Client(), Client()
    behind = [
        await hub.follow(following(f"{folder}*", after=3), client) for folder, client in ((SHORT, short), (LONG, long))
    ]
    await in_database(trim_by_settings)
    for follower in behind:
        hub.begin(follower)
    await eventually(lambda: short.resets and len(long.offsets) == 9, 30, "one is told, the other has all")
    assert (short.resets, short.offsets, long.resets) == ([(38, 50)], [], [])


async def test_a_process_that_falls_out_of_one_prefix_loses_nothing_of_the_others(
    sleepy_hub: Hub, new_writer: Callable[[], Writer], settings: Settings
) -> None:
    hub, other, short, long = sleepy_hub, new_writer(), Client(), Client()
    await fill(other, 1)
    hub.ring()
    await eventually(lambda: hub.position == 5, 30, "the hub has read all")
    for folder, client in ((SHORT, short), (LONG, long)):
        hub.begin(await hub.follow(following(f"{folder}*"), client))
    settings.LOG_RETENTION_PREFIXES = {SHORT: Retention(4, None)}
    written = await fill(other, 10)
    await in_database(trim_by_settings)
    hub.ring()
    due = [offset for offset, uri in written if uri.startswith(LONG)]
    await eventually(lambda: short.resets and long.offsets == due, 30, "one is told, the other has all")
    assert (short.offsets, long.resets, hub.position) == ([], [], 55)


async def test_followers_that_race_with_trims_have_all_up_to_the_moment_they_are_told(
    hub: Hub, writer: Writer, settings: Settings, monkeypatch: pytest.MonkeyPatch, dice: random.Random
) -> None:
    monkeypatch.setattr("resources_app.hub.loads.LOAD_EVENTS", 4)
    monkeypatch.setattr("resources_app.log.retention.STEP", 7)
    settings.LOG_RETENTION_PREFIXES = {SHORT: Retention(10, None), LONG: Retention(None, None)}
    written = await fill(writer, 20)
    told = finished = 0
    for turn in range(40):
        clients = []
        kept = (await in_database(bounds))[CHANGES]
        # it may be late where everybody who followed the latest event was told before it came
        await eventually(lambda: hub.position >= kept.head, 30, "the hub has read all")  # noqa: B023
        for text in PATTERNS:
            after = dice.randint(kept.of(parse_pattern(text)).earliest - 1, hub.position)
            client = Client()
            clients.append((parse_pattern(text), after, client, await hub.follow(following(text, after=after), client)))
        part, stop = dice.choice(list(kept.parts)), kept.head - dice.randint(0, 40)
        trimming = asyncio.gather(in_database(trim, CHANGES, stop, part), in_database(trim_by_settings))
        if turn % 4 == 0:
            # nothing to race with, however fast followers are: some begin behind what is left
            await trimming
        for *_, follower in clients:
            hub.begin(follower)
        written += await fill(writer, dice.randint(1, 4))
        await trimming
        for pattern, after, client, follower in clients:
            due = [offset for offset, uri in written if offset > after and pattern.covers(uri)]
            await eventually(lambda: client.resets or client.offsets == due, 30, f"{pattern} after {after}: {due}")  # noqa: B023
            assert client.offsets == due[: len(client.offsets)]
            told += len(client.resets)
            finished += not client.resets
            hub.leave(follower)
    assert told > 0 and finished > 100
