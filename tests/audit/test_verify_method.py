"""Verifying the trail by `audit/verify`."""

import asyncio
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connections

from audit_app.chain.checkpoints import sign_trail
from audit_app.chain.verify import verify
from audit_app.database import in_trail
from audit_app.models import AuditEntry
from audit_app.mover import move_entries
from erlmcp_site.methods.catalogue import pipeline
from erlmcp_site.pipeline.messages import Credentials, Reply, Request
from tests.audit.conftest import Leave
from tests.stack.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])


@pytest.fixture
def auditor() -> User:
    return User.objects.create_superuser("auditor")


@pytest.fixture
def trail(leave: Leave) -> None:
    """Three checkpoints, up to the entries 10, 21 and 32, the last of them told of by entry 33."""
    for _ in range(3):
        leave(10, details={"note": "as it was"})
        move_entries()
        assert sign_trail() is not None
    move_entries()


async def ask(user: User, timeout: str | None = None, /, **params: Any) -> Reply:
    return await pipeline.run(
        Request(
            id="the-request",
            method="audit/verify",
            params=params,
            transport="rest",
            timestamp=time.time(),
            credentials=Credentials(user=user),
            metadata={} if timeout is None else {"request-timeout": timeout},
        )
    )


def found(user: User, /, **params: Any) -> Mapping[str, Any]:
    reply = async_to_sync(ask)(user, **params)
    assert reply.refusal is None, reply.refusal
    result: Mapping[str, Any] = orjson.loads(orjson.dumps(reply.result))
    return result


def told(*arguments: str) -> Mapping[str, Any]:
    """What the command prints, whichever way it ends."""
    written = StringIO()
    try:
        call_command("audit", "verify", "--json", *arguments, stdout=written)
    except SystemExit as end:
        assert end.code == 1
    report: Mapping[str, Any] = orjson.loads(written.getvalue())
    return report


def change(sequence: int) -> None:
    with connections["audit"].cursor() as cursor:
        cursor.execute("UPDATE audit_app_auditentry SET user_name = 'mallory' WHERE sequence = %s", [sequence])


def entries_of(method: str = "audit/verify") -> list[AuditEntry]:
    move_entries()
    return list(AuditEntry.objects.filter(action=method).order_by("sequence"))


@pytest.mark.parametrize(
    ("params", "arguments"),
    [
        ({}, ()),
        ({"from": 15, "until": 18}, ("--from", "15", "--until", "18")),
        ({"from": "22"}, ("--from", "22")),
        ({"until": 2**63 - 1}, ("--until", str(2**63 - 1))),
    ],
)
def test_the_answer_is_what_the_command_prints(
    trail: None, auditor: User, params: Mapping[str, Any], arguments: tuple[str, ...]
) -> None:
    answer = found(auditor, **params)
    assert answer["ok"] is True
    assert (answer["first"], answer["last"]) == ((11, 21) if "18" in arguments else (22 if "from" in params else 1, 33))
    assert set(answer["keys"].values()) == {"file"}
    assert answer == told(*arguments)


def test_an_empty_trail_is_in_order(auditor: User) -> None:
    answer = found(auditor)
    assert (answer["ok"], answer["entries"], answer["checkpoints"], answer["keys"]) == (True, 0, 0, {})


def test_a_trail_that_was_bent_is_an_answer_that_names_the_first_entry(trail: None, auditor: User) -> None:
    change(25)
    change(17)
    answer = found(auditor)
    assert answer == told()
    assert (answer["ok"], answer["sequence"], answer["kind"], answer["entries"]) == (False, 17, "changed", 16)
    assert answer["why"] == "the entry is not what its hash says"
    assert found(auditor, **{"from": 22})["sequence"] == 25
    assert found(auditor, until=10)["ok"] is True


def test_a_cut_tail_is_missed(trail: None, auditor: User) -> None:
    with connections["audit"].cursor() as cursor:
        cursor.execute("DELETE FROM audit_app_auditentry WHERE sequence > 30")
    assert (found(auditor)["sequence"], found(auditor)["kind"]) == (31, "missing")


def test_nothing_is_told_of_where_files_lie(trail: None, auditor: User, second_place: Path) -> None:
    lines = second_place.read_bytes().splitlines(keepends=True)
    second_place.write_bytes(lines[0] + b"garbage\n" + lines[2])
    answer = found(auditor)
    assert (answer["ok"], answer["sequence"], answer["kind"]) == (False, 11, "checkpoint")
    assert answer["why"] == "line 2 of the second place is not checkpoint 2"
    second_place.with_name("checkpoints.jsonl.keys").write_bytes(b"no key")
    reply = async_to_sync(ask)(auditor)
    assert reply.refusal is not None and reply.refusal.code == "internal_error"
    assert str(second_place.parent) not in f"{reply.refusal.message} {reply.refusal.data} {answer}"


def test_what_was_asked_and_found_is_on_record_whatever_the_settings(trail: None, auditor: User, settings: Any) -> None:
    settings.AUDIT_READS = "off"
    settings.AUDIT_POLICY = ()
    answer = found(auditor, until=12)
    change(17)
    found(auditor)
    good, bent = entries_of()
    assert (good.user, good.outcome, good.resource_type, good.queue) == ("auditor", "success", "audit", 1)
    assert (answer["entries"], answer["last"]) == (21, 21)
    assert orjson.loads(good.details) == {"asked": {"until": 12}, "found": answer}
    details = orjson.loads(bent.details)
    assert (details["asked"], details["found"]["ok"], details["found"]["sequence"]) == ({}, False, 17)


def test_it_needs_the_permission_to_read_the_trail(auditor: User) -> None:
    for role in ("user", "viewer"):
        user = User.objects.create_user(role)
        user.groups.add(Group.objects.get(name=role))
        reply = async_to_sync(ask)(user)
        assert reply.refusal is not None and reply.refusal.code == "forbidden"
    assert [(entry.user, entry.code) for entry in entries_of()] == [("user", "forbidden"), ("viewer", "forbidden")]


@pytest.mark.parametrize(
    ("params", "wrong"),
    [
        ({"from": 0}, "from"),
        ({"from": 2**63}, "from"),
        ({"until": "yesterday"}, "until"),
        ({"from": 5, "until": 4}, "until"),
    ],
)
def test_what_is_no_part_is_refused(auditor: User, params: Mapping[str, Any], wrong: str) -> None:
    reply = async_to_sync(ask)(auditor, **params)
    assert reply.refusal is not None and reply.refusal.code == "invalid_params"
    assert list(reply.refusal.data["errors"]) == [wrong]


class Enough(Exception):
    pass


def test_a_verification_ends_between_two_portions(trail: None) -> None:
    seen = []

    def look(done: int, total: int) -> None:
        seen.append((done, total))
        if len(seen) == 3:
            raise Enough

    with pytest.raises(Enough):
        verify(progress=look, portion_size=5)
    assert seen == [(5, 33), (10, 33), (15, 33)]


@contextmanager
def keys_that_do_not_come(second_place: Path) -> Iterator[None]:
    """Whoever reads the keys of this machine waits, until the block ends."""
    keys = second_place.with_name("checkpoints.jsonl.keys")
    kept = keys.read_bytes()
    keys.unlink()
    os.mkfifo(keys)
    try:
        yield
    finally:
        writing = os.open(keys, os.O_RDWR)
        aside = keys.with_suffix(".kept")
        aside.write_bytes(kept)
        aside.replace(keys)
        os.write(writing, kept)
        os.close(writing)


async def test_it_ends_with_its_time_or_its_client_and_holds_up_nobody_then(
    trail: None, auditor: User, second_place: Path
) -> None:
    with keys_that_do_not_come(second_place):
        gone = asyncio.create_task(ask(auditor))
        late = await asyncio.gather(*(ask(auditor, "0.3") for _ in range(3)))
        waiting = asyncio.create_task(ask(auditor))
        for reply in late:
            assert reply.refusal is not None and reply.refusal.code == "deadline_exceeded"
        # the trail can be asked for other things meanwhile
        assert await in_trail(AuditEntry.objects.count) == 33
        gone.cancel()
        await asyncio.wait([gone])
        assert gone.cancelled()
    reply = await waiting
    assert reply.refusal is None and orjson.loads(orjson.dumps(reply.result))["ok"] is True

    async def recorded() -> bool:
        codes = [(entry.outcome, entry.code) for entry in await in_trail(entries_of)]
        refused = [("error", "deadline_exceeded")] * 3 + [("refused", "deadline_exceeded"), ("success", "")]
        return sorted(codes) == sorted(refused)

    await eventually(recorded, 30, "an entry of each")
