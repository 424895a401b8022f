"""What is asked under one key is done once: in one batch, in several, by several writers, for a day (contract §3)."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.utils.timezone import now

from audit_app.database import in_database
from audit_app.errors import DeadlineExceeded
from audit_app.expiry import DropKeys, drop_old_keys
from audit_app.idempotency import KEPT, IdempotencyMismatch, kept_answer
from audit_app.models import IdempotencyKey
from audit_app.once import Answer, Key, Once, Replayed
from audit_app.writer import Writer
from resources_app.errors import AlreadyExists
from resources_app.log.events import LoggedEvent
from resources_app.models import Resource
from resources_app.store import ChangeResources
from tests.resources.commands import Faulty, delete, offsets, within, write
from tests.resources.states import URI
from tests.stack.outbox import entries

pytestmark = pytest.mark.django_db(transaction=True)

NAME = "3b0e"


def told(events: Sequence[LoggedEvent]) -> bytes:
    return orjson.dumps([event.offset for event in events])


def keyed(command: ChangeResources, name: str = NAME, fingerprint: str = "f", caller: str = "7") -> ChangeResources:
    assert command.entry is not None
    once = Once(key=Key(caller=caller, name=name, fingerprint=fingerprint), answer=told)
    return replace(command, entry=replace(command.entry, once=once))


async def answers(writer: Writer, *commands: Any) -> list[Any]:
    """What each command comes to; an answer that is replayed by its bytes."""
    found = await asyncio.gather(*(writer.submit(command) for command in commands), return_exceptions=True)
    return [one.answer.content if isinstance(one, Replayed) else one for one in found]


async def test_a_repeat_is_answered_as_the_first_time_and_does_nothing(writer: Writer) -> None:
    (event,) = await writer.submit(keyed(write(1)))
    for _ in range(3):
        with pytest.raises(Replayed) as replayed:
            await writer.submit(keyed(write(1)))
        assert replayed.value.answer == Answer(told([event]))
    assert await in_database(offsets) == [1]
    found = await in_database(entries)
    assert [entry["outcome"] for entry in found] == ["success"] * 4
    assert [entry["details"].get("replayed", False) for entry in found] == [False, True, True, True]


async def test_repeats_in_one_batch_get_the_answer_of_the_first(writer: Writer) -> None:
    first, *rest = await answers(writer, *[keyed(write(1)) for _ in range(50)])
    assert rest == [told(first)] * 49
    assert await in_database(offsets) == [1]


async def test_writers_that_race_for_a_key_do_it_once(new_writer: Callable[[], Writer]) -> None:
    writers = [new_writer() for _ in range(4)]
    for round_ in range(10):
        commands = [
            [keyed(write(1, f"resource://example.com/{number}"), f"{round_}.{number}") for number in range(8)]
            for _ in writers
        ]
        found = await asyncio.gather(*(answers(writer, *some) for writer, some in zip(writers, commands, strict=True)))
        for number in range(8):
            of_key = [one[number] for one in found]
            (done,) = [answer for answer in of_key if not isinstance(answer, bytes)]
            assert [answer for answer in of_key if isinstance(answer, bytes)] == [told(done)] * 3
    assert await in_database(offsets) == list(range(1, 81))


async def test_so_do_writers_that_race_for_a_key_whose_day_is_over(new_writer: Callable[[], Writer]) -> None:
    writers = [new_writer() for _ in range(4)]
    await writers[0].submit(keyed(write(0)))
    for round_ in range(20):
        await IdempotencyKey.objects.aupdate(at=now() - KEPT - timedelta(minutes=1))
        found = await asyncio.gather(
            *(
                answers(writer, keyed(write(1, f"resource://example.com/{round_}/{number}")))
                for number, writer in enumerate(writers)
            )
        )
        (done,) = [answer for (answer,) in found if not isinstance(answer, bytes)]
        assert [answer for (answer,) in found if isinstance(answer, bytes)] == [told(done)] * 3


async def test_a_key_is_good_for_one_request(writer: Writer) -> None:
    first, other = await answers(writer, keyed(write(1)), keyed(write(2), fingerprint="g"))
    assert isinstance(other, IdempotencyMismatch)
    with pytest.raises(IdempotencyMismatch):
        await writer.submit(keyed(write(2), fingerprint="g"))
    assert (await answers(writer, keyed(write(1)))) == [told(first)]
    assert await in_database(offsets) == [1]


async def test_keys_are_the_callers_own(writer: Writer) -> None:
    await writer.submit(keyed(write(1)))
    (event,) = await writer.submit(keyed(write(1), caller="8"))
    assert event.version == 2


async def test_what_was_refused_may_be_asked_again_under_its_key(writer: Writer) -> None:
    await writer.submit(write(1))
    create = write(2, must_be_new=True)
    refused = await answers(writer, keyed(create), keyed(create))
    assert [type(answer) for answer in refused] == [AlreadyExists, AlreadyExists]
    await writer.submit(delete())
    (event,) = await writer.submit(keyed(create))
    assert event.version == 3
    assert (await answers(writer, keyed(create))) == [told([event])]


async def test_what_was_done_is_not_denied_to_a_repeat_that_comes_too_late(writer: Writer) -> None:
    (event,) = await writer.submit(keyed(write(1)))
    with within(-1):
        repeat, new = writer.submit(keyed(write(1))), writer.submit(keyed(write(2), "other"))
    in_time = writer.submit(write(3))
    with pytest.raises(Replayed) as replayed:
        await repeat
    assert replayed.value.answer == Answer(told([event]))
    with pytest.raises(DeadlineExceeded) as refused:
        await new
    assert refused.value.data == {"outcome": "not_done"}
    await in_time
    assert await in_database(offsets) == [1, 2]


async def test_an_answer_is_kept_for_a_day(writer: Writer) -> None:
    await writer.submit(keyed(write(1)))
    key = Key(caller="7", name=NAME, fingerprint="f")
    await IdempotencyKey.objects.aupdate(at=now() - KEPT + timedelta(minutes=1))
    assert await in_database(kept_answer, key) == Answer(orjson.dumps([1]))
    assert await in_database(drop_old_keys) == 0
    await IdempotencyKey.objects.aupdate(at=now() - KEPT - timedelta(minutes=1))
    assert await in_database(kept_answer, key) is None
    (event,) = await writer.submit(keyed(write(1), fingerprint="another request"))
    assert event.version == 2
    await IdempotencyKey.objects.aupdate(at=now() - KEPT - timedelta(minutes=1))
    assert await in_database(drop_old_keys) == 1
    assert not await IdempotencyKey.objects.aexists()


async def test_a_key_that_is_used_anew_is_not_forgotten_with_the_old_one(writer: Writer) -> None:
    await writer.submit(keyed(write(1)))
    assert await writer.submit(DropKeys(ids=[f"7/{NAME}"])) == 0
    assert await IdempotencyKey.objects.acount() == 1


async def test_a_batch_that_is_tried_again_keeps_its_keys_once(writer: Writer) -> None:
    passing = Faulty(where="save", errors=[ConnectionError("connection lost")])
    done, replayed, _ = await answers(writer, keyed(write(1)), keyed(write(1)), passing)
    assert replayed == told(done)
    assert await in_database(offsets) == [1]
    assert await IdempotencyKey.objects.acount() == 1


async def test_what_cannot_be_told_is_not_done(writer: Writer) -> None:
    """The answer belongs to the work: a command whose answer cannot be kept fails whole, and alone."""

    def fails(result: Any) -> bytes:
        raise ValueError("no answer")

    command = keyed(write(1))
    assert command.entry is not None and command.entry.once is not None
    broken = replace(command, entry=replace(command.entry, once=replace(command.entry.once, answer=fails)))
    failed, fine = await answers(writer, broken, write(2, "resource://example.com/fine"))
    assert failed.code == "internal_error" and [event.uri for event in fine] == ["resource://example.com/fine"]
    assert await in_database(offsets) == [1]
    assert not await Resource.objects.filter(uri=URI).aexists()
