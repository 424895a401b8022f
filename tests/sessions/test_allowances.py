"""A user has a bounded number of sessions and API keys; nobody is locked out by sessions that nobody uses."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.utils.timezone import now
from pytest_django import Settings

from audit_app.database import in_database
from audit_app.models import OutboxEntry
from audit_app.queues import Queue
from audit_app.writer import Writer
from erlmcp_site.pipeline.messages import Reply
from resources_app.errors import TooMany
from resources_app.models import Subscription
from sessions_app.api_keys import OpenKey, new_key
from sessions_app.commands import CreateSession, MoveSession, OpenSession
from sessions_app.errors import TooManyKeys, TooManySessions
from sessions_app.families import OpenFamily
from sessions_app.models import ApiKey, Session
from sessions_app.records import SessionRecord
from sessions_app.sessions import write_activity
from sessions_app.states import LIVING, Reason, State
from tests.pipeline.calls import ask, body, code, entries_of, token_of
from tests.sessions.conftest import entry

FEW = 4


@pytest.fixture(autouse=True)
def few(settings: Settings) -> None:
    settings.SESSIONS_PER_USER = settings.API_KEYS_PER_USER = FEW


@pytest.fixture
async def alice(running: dict[str, User]) -> User:
    return running["alice"]


@pytest.fixture
async def writers(alice: User) -> AsyncIterator[list[Writer]]:
    """Those of two nodes."""
    two = [Writer(), Writer()]
    yield two
    for one in two:
        await asyncio.to_thread(one.close)


def session(number: int, user: User, family: str = "") -> SessionRecord:
    at = now()
    return SessionRecord(
        id=f"{user.pk}-{number}",
        user_id=str(user.pk),
        family=family,
        state=State.INITIALIZING,
        created_at=at,
        last_active_at=at,
    )


def creation(number: int, user: User) -> CreateSession:
    return CreateSession(record=session(number, user), entry=entry())


async def opening(number: int, user: User, writer: Writer) -> OpenSession:
    """That of the session of a new login."""
    family = f"family-{number}"
    await writer.submit(
        OpenFamily(
            family=family,
            user_id=str(user.pk),
            token_id="first",
            expires_at=now() + timedelta(days=1),
            entry=entry(),
        )
    )
    return OpenSession(family=family, record=session(number, user, family), entry=entry())


def key_of(user: User) -> OpenKey:
    fresh = new_key()
    return OpenKey(
        key=fresh.id,
        user_id=str(user.pk),
        label="",
        digest=fresh.digest,
        scope="",
        expires_at=now() + timedelta(days=1),
        entry=entry(),
    )


async def all_at_once(commands: list[Any], writers: list[Writer]) -> tuple[int, int]:
    """How many commands were done and how many refused, when two nodes are asked at once."""
    asked = [writers[number % 2].submit(command) for number, command in enumerate(commands)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, TooMany)]
    assert all(refusal.data == {"limit": FEW} for refusal in refused)
    done = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert len(done) + len(refused) == len(commands), answers
    return len(done), len(refused)


async def living() -> set[str]:
    return set(await in_database(lambda: list(Session.objects.filter(state__in=LIVING).values_list("id", flat=True))))


async def is_security(refused: Reply) -> bool:
    """Whether a refusal has left one entry, in the queue security."""
    (told,) = await entries_of(refused)
    assert (told["outcome"], told["code"]) == ("refused", "rate_limited")
    found = OutboxEntry.objects.filter(queue=Queue.SECURITY, entry__contains=refused.request_id)
    return await in_database(found.exists)


async def unused_for(seconds: float, *ids: str) -> None:
    # what the node has not written down yet would make them used again
    await write_activity()
    at = now() - timedelta(seconds=seconds)
    await in_database(Session.objects.filter(id__in=ids).update, last_active_at=at)


async def test_of_200_sessions_at_once_on_two_nodes_as_many_are_made_as_are_allowed(
    alice: User, writers: list[Writer]
) -> None:
    assert await all_at_once([creation(number, alice) for number in range(200)], writers) == (FEW, 196)
    assert len(await living()) == FEW


async def test_of_200_first_requests_at_once_on_two_nodes_as_many_get_a_session_as_are_allowed(
    alice: User, writers: list[Writer]
) -> None:
    openings = await asyncio.gather(*(opening(number, alice, writers[0]) for number in range(200)))
    assert await all_at_once(list(openings), writers) == (FEW, 196)
    assert len(await living()) == FEW


async def test_of_200_keys_at_once_on_two_nodes_as_many_are_made_as_are_allowed(
    alice: User, writers: list[Writer]
) -> None:
    assert await all_at_once([key_of(alice) for _ in range(200)], writers) == (FEW, 196)
    assert await in_database(ApiKey.objects.count) == FEW


async def test_those_of_others_do_not_count(running: dict[str, User], writers: list[Writer]) -> None:
    commands = [creation(number, running[name]) for number in range(FEW) for name in ("alice", "bob")]
    assert await all_at_once(commands, writers) == (2 * FEW, 0)


async def test_one_that_ends_in_the_same_batch_makes_its_family_a_new_one(alice: User, writers: list[Writer]) -> None:
    first = await opening(0, alice, writers[0])
    opened = await writers[0].submit(first)
    again = OpenSession(family=first.family, record=session(1, alice, first.family), entry=entry())
    end = MoveSession(session=opened.id, to=State.TERMINATING, entry=entry())
    _, fresh = await asyncio.gather(writers[0].submit(end), writers[0].submit(again))
    assert fresh.id != opened.id


async def test_the_session_unused_for_longest_ends_for_a_new_one_and_that_is_on_record(
    running: dict[str, User],
) -> None:
    tokens = [await token_of("alice") for _ in range(FEW)]
    ids = [str((await ask("sessions/list", {}, token)).session_id) for token in tokens]
    await unused_for(800, ids[1], ids[2])
    await unused_for(850, ids[2])
    token = await token_of("alice")
    reply = await ask("sessions/list", {}, token)
    assert reply.session_id in await living()
    assert await living() == {*ids, reply.session_id} - {ids[2]}
    reply = await ask("sessions/create", {}, token)
    assert await living() == {ids[0], ids[3], *await living() - {*ids}}
    (told,) = await entries_of(reply)
    assert (told["action"], told["details"]["ended"]) == ("sessions/create", ids[1])
    await unused_for(800, ids[0])
    # whose session ended is not logged out
    back = await ask("sessions/list", {}, tokens[1])
    assert code(back) is None and back.session_id not in ids


async def test_what_is_used_or_waited_for_or_suspended_by_an_admin_ends_for_nobody(running: dict[str, User]) -> None:
    root, token = await token_of("root"), await token_of("alice")
    used = body(await ask("sessions/list", {}, token))["sessions"][0]["id"]
    waiting, suspended, idle = [body(await ask("sessions/create", {}, token))["id"] for _ in range(3)]
    await in_database(
        Subscription.objects.create,
        id="one",
        pattern="resource://a/*",
        user_id=str(running["alice"].pk),
        session_id=waiting,
        events="updated",
        options="{}",
        offset=0,
        created_at=now(),
    )
    body(await ask("sessions/suspend", {"session": suspended}, root))
    await unused_for(100_000, waiting, suspended, idle)
    body(await ask("sessions/create", {}, token))
    assert idle not in await living()
    refused = await ask("sessions/create", {}, token)
    assert code(refused) == "rate_limited" and isinstance(refused.refusal, TooManySessions)
    assert await is_security(refused)
    assert {used, waiting, suspended} <= await living()


async def test_whoever_logs_in_all_day_is_never_locked_out(running: dict[str, User]) -> None:
    for _ in range(3 * FEW):
        reply = await ask("sessions/list", {}, await token_of("alice"))
        assert code(reply) is None
        assert reply.session_id is not None
        await unused_for(500, reply.session_id)
        assert len(await living()) <= FEW


async def test_a_session_that_woke_up_is_not_ended(alice: User, writers: list[Writer]) -> None:
    for number in range(FEW):
        await writers[0].submit(creation(number, alice))
    first = f"{alice.pk}-0"
    await writers[0].submit(MoveSession(session=first, to=State.SUSPENDED, reason=Reason.IDLE, entry=entry()))
    await unused_for(1000, first)
    wake = MoveSession(session=first, to=State.ACTIVE, is_activity=True, entry=entry())
    answers = await asyncio.gather(
        writers[0].submit(wake), writers[0].submit(creation(9, alice)), return_exceptions=True
    )
    assert isinstance(answers[1], TooManySessions)
    assert first in await living()


async def test_keys_that_were_revoked_or_have_expired_make_room(running: dict[str, User]) -> None:
    token = await token_of("alice")
    keys = [body(await ask("keys/create", {}, token))["id"] for _ in range(FEW)]
    refused = await ask("keys/create", {}, token)
    assert code(refused) == "rate_limited" and isinstance(refused.refusal, TooManyKeys)
    assert refused.refusal.data == {"limit": FEW}
    assert await is_security(refused)
    body(await ask("keys/revoke", {"id": keys[0]}, token))
    await in_database(ApiKey.objects.filter(id=keys[1]).update, expires_at=now())
    for _ in range(2):
        body(await ask("keys/create", {}, token))
    assert code(await ask("keys/create", {}, token)) == "rate_limited"


async def test_sessions_of_the_cache_are_bounded_too_and_those_that_end_make_room(running: dict[str, User]) -> None:
    await in_database(cache.clear)
    token = await token_of("alice")
    asked = [ask("sessions/create", {"backend": "cache"}, token) for _ in range(40)]
    replies = await asyncio.gather(*asked)
    made = [body(reply)["id"] for reply in replies if reply.refusal is None]
    refused = [reply for reply in replies if reply.refusal is not None]
    assert (len(made), {code(reply) for reply in refused}) == (FEW, {"rate_limited"})
    assert await is_security(refused[0])
    body(await ask("sessions/close", {"session": made[0]}, token))
    body(await ask("sessions/update", {"session": made[1], "label": "still there"}, token))
    again = body(await ask("sessions/create", {"backend": "cache"}, token))["id"]
    assert code(await ask("sessions/create", {"backend": "cache"}, token)) == "rate_limited"
    assert code(await ask("sessions/list", {}, token, session_id=again)) is None
    await write_activity()
    assert code(await ask("sessions/create", {"backend": "cache"}, token)) == "rate_limited"
    await in_database(cache.clear)
    body(await ask("sessions/create", {"backend": "cache"}, token))


async def test_a_session_of_the_cache_that_is_not_made_takes_no_place(running: dict[str, User]) -> None:
    await in_database(cache.clear)
    token = await token_of("alice")
    wanted, key = {"backend": "cache", "label": "one"}, {"idempotency-key": "again"}
    first = body(await ask("sessions/create", wanted, token, metadata=key))
    for _ in range(FEW + 1):
        assert body(await ask("sessions/create", wanted, token, metadata=key))["id"] == first["id"]
        other = await ask("sessions/create", wanted | {"label": "other"}, token, metadata=key)
        assert code(other) == "idempotency_mismatch"
    for _ in range(FEW - 1):
        body(await ask("sessions/create", {"backend": "cache"}, token))
    assert code(await ask("sessions/create", {"backend": "cache"}, token)) == "rate_limited"
    body(await ask("sessions/get", {"session": first["id"]}, token))
    await in_database(cache.clear)


def deadlocks() -> int:
    """How many PostgreSQL has had to end, by what connections have told that are closed by now."""
    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        ((count,),) = cursor.fetchall()
    return int(count)


async def test_nodes_that_add_things_of_the_same_users_do_not_wait_for_each_other_in_a_ring(
    running: dict[str, User], settings: Settings
) -> None:
    settings.SESSIONS_PER_USER = settings.API_KEYS_PER_USER = 1000
    alice, bob, before = running["alice"], running["bob"], await in_database(deadlocks)
    one, two = Writer(), Writer()
    for number in range(20):
        crossed = [one.submit(creation(number, alice)), one.submit(key_of(bob)), one.submit(key_of(alice))]
        crossed += [two.submit(key_of(alice)), two.submit(key_of(bob)), two.submit(creation(number + 100, alice))]
        await asyncio.gather(*crossed)
    for writer in (one, two):
        await asyncio.to_thread(writer.close)
    assert await in_database(deadlocks) == before
