"""Mailboxes of sessions: the same in memory and in Redis."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from audit_app.breaker import PartAway
from sessions_app.line import Line
from sessions_app.mail import letters, memory, shared
from sessions_app.mail.bells import Bells
from sessions_app.mail.boxes import Mailboxes
from sessions_app.mail.letters import BEGINNING, Mail
from sessions_app.mail.memory import MemoryMail
from sessions_app.mail.shared import SharedMail
from tests.stack.processes import free_port
from tests.stack.redis_server import RedisServer
from tests.stack.waiting import PATIENCE

SESSION, OTHER = "018f0000-0000-7000-8000-000000000001", "018f0000-0000-7000-8000-000000000002"


@pytest.fixture(params=["memory", "redis"])
async def mail(request: pytest.FixtureRequest, redis: Redis, server: RedisServer) -> AsyncIterator[Mail]:
    """Mailboxes with nothing in them."""
    if request.param == "memory":
        yield MemoryMail()
        return
    line = Line(server.url)
    yield SharedMail(line)
    await line.close()


async def texts(mail: Mail, after: str = BEGINNING, session: str = SESSION) -> list[bytes]:
    return [letter.text for letter in await mail.read(session, after)]


async def test_letters_are_read_in_order_from_anywhere(mail: Mail) -> None:
    for number in range(12):
        await mail.post(SESSION, f"box:{number}", b"%d" % number)
    read = await mail.read(SESSION, BEGINNING)
    assert [(one.box, one.text) for one in read] == [(f"box:{number}", b"%d" % number) for number in range(12)]
    assert await texts(mail, read[9].place) == [b"10", b"11"]
    assert await texts(mail, read[11].place) == []
    assert await texts(mail, session=OTHER) == []


async def test_letters_may_hold_any_bytes(mail: Mail) -> None:
    await mail.post(SESSION, "box", bytes(range(256)))
    assert await texts(mail) == [bytes(range(256))]


async def test_of_too_many_letters_the_oldest_go(mail: Mail, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (memory, shared):
        monkeypatch.setattr(module, "MAX_LETTERS", 3)
    for number in range(5):
        await mail.post(SESSION, "box", b"%d" % number)
    assert await texts(mail) == [b"2", b"3", b"4"]


async def test_of_too_large_letters_the_oldest_go(mail: Mail, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (memory, shared):
        monkeypatch.setattr(module, "MAX_BYTES", 10)
    for text in (b"12345", b"67890", b"x"):
        await mail.post(SESSION, "box", text)
    assert await texts(mail) == [b"67890", b"x"]
    await mail.post(SESSION, "box", b"y" * 11)
    assert await texts(mail) == []
    await mail.post(SESSION, "box", b"z" * 10)
    assert await texts(mail) == [b"z" * 10]


async def test_letters_go_by_themselves(mail: Mail, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LETTER_SECONDS", -1)
    await mail.post(SESSION, "box", b"text")
    if isinstance(mail, MemoryMail):
        assert len(mail) == 0
        return
    keys = [key async for key in redis.scan_iter(f"erlmcp:mail:{SESSION}*")]
    left = [await redis.ttl(key) for key in keys]
    assert len(keys) == 2 and all(0 < seconds <= letters.LETTER_SECONDS for seconds in left)


async def test_notes_are_kept_by_name(mail: Mail) -> None:
    assert await mail.note(SESSION, "a", "1", most=2)
    assert await mail.note(SESSION, "b", "Zweitens: ü", most=2)
    assert not await mail.note(SESSION, "c", "3", most=2)
    assert await mail.note(SESSION, "a", "4", most=2)
    assert dict(await mail.notes(SESSION)) == {"a": "4", "b": "Zweitens: ü"}
    await mail.unnote(SESSION, "a")
    await mail.unnote(SESSION, "never")
    assert dict(await mail.notes(SESSION)) == {"b": "Zweitens: ü"}
    assert dict(await mail.notes(OTHER)) == {}


async def test_notes_go_with_an_idle_session(mail: Mail, redis: Redis, settings: Any) -> None:
    settings.SESSION_IDLE_SECONDS = 50
    await mail.note(SESSION, "a", "1", most=2)
    settings.SESSION_IDLE_SECONDS = 100
    await mail.touch(SESSION)
    if isinstance(mail, SharedMail):
        assert 50 < await redis.ttl(f"erlmcp:mail:{SESSION}:notes") <= 100
        return
    settings.SESSION_IDLE_SECONDS = -1
    await mail.touch(SESSION)
    assert dict(await mail.notes(SESSION)) == {}
    settings.SESSION_IDLE_SECONDS = 100
    await mail.touch(SESSION)
    assert dict(await mail.notes(SESSION)) == {}


async def test_nothing_is_left_of_what_was_dropped(mail: Mail) -> None:
    await mail.post(SESSION, "box", b"text")
    await mail.note(SESSION, "a", "1", most=2)
    await mail.drop(SESSION)
    assert (await texts(mail), dict(await mail.notes(SESSION))) == ([], {})


async def test_a_bell_rings_on_another_node() -> None:
    """Both have the layer of this process, which passes on as the one in Redis does."""
    here, there = Bells(), Bells()
    heard: list[tuple[str, str]] = []
    there.on_ring(lambda session, box: heard.append((session, box)))
    here.start()
    there.start()
    try:
        async with asyncio.timeout(PATIENCE):
            while not heard:
                await here.ring(SESSION, "box")
                await asyncio.sleep(0.01)
        assert heard[0] == (SESSION, "box")
    finally:
        await here.stop()
        await there.stop()


async def test_whoever_waits_hears_of_what_comes() -> None:
    boxes = Mailboxes()
    boxes.start(None)
    with boxes.waiting(SESSION) as bell:
        await boxes.post(OTHER, "box", b"text")
        await boxes.post(SESSION, "box", b"text")
        async with asyncio.timeout(PATIENCE):
            # far longer than anybody has patience
            await bell.wait(10 * PATIENCE)
        await bell.wait(0.01)
    assert len(boxes.bells) == 0


async def test_mailboxes_that_are_away_say_so() -> None:
    line = Line(f"redis://127.0.0.1:{free_port()}/0")
    mail = SharedMail(line)
    with pytest.raises(PartAway):
        await mail.post(SESSION, "box", b"text")
    with pytest.raises(PartAway):
        await mail.notes(SESSION)
    await line.close()
