"""What a session knows of whoever opened it is on no disk and in no cache, and requests in it call for no key."""

import asyncio
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from pytest_django import Settings

from audit_app.database import in_database
from audit_app.models import IdempotencyKey, OutboxEntry
from encryption_app.models import DataKey
from encryption_app.policy import SESSIONS, Rule
from sessions_app.models import Session
from sessions_app.sealed import subject_of
from sessions_app.sessions import forget as forget_sessions
from tests.encryption.conftest import CANARY, start_over
from tests.encryption.test_key_service import keyring_away
from tests.pipeline.calls import ask, body, code, entries_of, token_of

NOTES = {"label": f"{CANARY} label", "client_id": f"{CANARY} client", "metadata": {CANARY: [CANARY]}}


@pytest.fixture(autouse=True)
def sealing(settings: Settings, encrypting: None) -> None:
    """Sessions are encrypted by the provider `local`."""
    settings.ENCRYPT = (Rule(SESSIONS, "local"),)


@pytest.fixture(autouse=True)
def empty_cache(transactional_db: None) -> None:
    cache.clear()


def restart() -> None:
    """As a process that starts: no key, no session, nothing cached."""
    start_over()
    forget_sessions()


def kept_texts(ids: list[str]) -> bytes:
    """Everything that the database and the shared cache hold of sessions, answers, entries and keys."""
    found = [cache.get(f"session:{id}") or b"" for id in ids]
    for model in (Session, IdempotencyKey, OutboxEntry, DataKey):
        for row in model.objects.values_list():
            found += [bytes(value) if isinstance(value, memoryview | bytes) else str(value).encode() for value in row]
    return b"\n".join(found)


async def created(token: str, **fields: Any) -> Any:
    return body(await ask("sessions/create", NOTES | fields, token))


async def get(token: str, id: str) -> Any:
    return body(await ask("sessions/get", {"session": id}, token))


def notes_of(session: Any) -> Any:
    return {name: session[name] for name in NOTES}


@pytest.mark.django_db(transaction=True, databases=["default", "audit"])
@pytest.mark.parametrize("backend", ["database", "cache"])
async def test_what_is_shown_is_what_was_given_and_none_of_it_is_kept(running: dict[str, User], backend: str) -> None:
    token = await token_of("alice")
    session = await created(token, backend=backend)
    assert notes_of(session) == NOTES
    # a request in it, which has a copy put into the shared cache
    body(await ask("telemetry/snapshot", {}, await token_of("root")))
    restart()
    await ask("resources/list", {}, token, session_id=session["id"])
    assert notes_of(await get(token, session["id"])) == NOTES
    changed = body(await ask("sessions/update", {"session": session["id"], "label": f"{CANARY} new"}, token))
    expected = NOTES | {"label": f"{CANARY} new"}
    assert notes_of(changed) == expected
    restart()
    assert notes_of(await get(token, session["id"])) == expected
    kept = await in_database(kept_texts, [session["id"]])
    assert CANARY.encode() not in kept
    assert session["id"].encode() in kept or backend == "cache"


async def test_the_session_that_a_login_opens_is_encrypted_with_the_login_that_it_is_of(
    running: dict[str, User],
) -> None:
    token = await token_of("alice")
    reply = await ask("resources/list", {}, token, client_id=f"{CANARY} agent")
    row = await in_database(Session.objects.get)
    assert (row.family, row.client_id, bool(row.sealed)) == ("", "", True)
    assert CANARY.encode() not in await in_database(kept_texts, [row.id])
    restart()
    assert (await get(token, str(reply.session_id)))["client_id"] == f"{CANARY} agent"


async def test_sessions_are_listed_with_what_they_know(running: dict[str, User]) -> None:
    token = await token_of("alice")
    made = [await created(token, label=str(number)) for number in range(3)]
    restart()
    listed = body(await ask("sessions/list", {}, token))["sessions"]
    assert [session["label"] for session in listed if session["id"] in {one["id"] for one in made}] == ["0", "1", "2"]


async def test_an_answer_that_is_kept_shows_nothing_either(running: dict[str, User]) -> None:
    token = await token_of("alice")
    once = {"metadata": {"idempotency-key": "once"}}
    first = body(await ask("sessions/create", NOTES, token, **once))
    update = {"session": first["id"], "label": f"{CANARY} new"}
    changed = body(await ask("sessions/update", update, token, metadata={"idempotency-key": "other"}))
    moved = {}
    root = await token_of("root")
    for method in ("suspend", "resume"):
        call = (f"sessions/{method}", {"session": first["id"]}, root)
        moved[method] = body(await ask(*call, metadata={"idempotency-key": method}))
        assert notes_of(moved[method]) == NOTES | {"label": f"{CANARY} new"}
    assert await in_database(IdempotencyKey.objects.count) == 4
    assert CANARY.encode() not in await in_database(kept_texts, [first["id"]])
    restart()
    again = await ask("sessions/create", NOTES, token, **once)
    assert (again.replayed, notes_of(body(again))) == (True, NOTES)
    again = await ask("sessions/update", update, token, metadata={"idempotency-key": "other"})
    assert (again.replayed, notes_of(body(again))) == (True, notes_of(changed))


async def test_two_changes_at_once_are_both_kept(running: dict[str, User]) -> None:
    token = await token_of("alice")
    session = await created(token)
    await asyncio.gather(
        ask("sessions/update", {"session": session["id"], "label": "a"}, token),
        ask("sessions/update", {"session": session["id"], "metadata": {"b": 1}}, token),
    )
    restart()
    assert notes_of(await get(token, session["id"])) == NOTES | {"label": "a", "metadata": {"b": 1}}


async def test_requests_in_a_session_call_for_no_key(running: dict[str, User], settings: Settings) -> None:
    token, root = await token_of("alice"), await token_of("root")
    session = await created(token)
    with keyring_away(settings):
        restart()
        assert code(await ask("resources/list", {}, token, session_id=session["id"])) is None
        assert code(await ask("resources/list", {}, token)) is None
        # what would show it waits
        for method in ("sessions/get", "sessions/update"):
            params = (
                {"session": session["id"], "label": "b"} if method == "sessions/update" else {"session": session["id"]}
            )
            reply = await ask(method, params, token)
            assert (code(reply), len(await entries_of(reply))) == ("unavailable", 1)
        assert code(await ask("sessions/list", {}, token)) == "unavailable"
        # what protects does not, and who logs in meanwhile has a session that knows nothing
        for method in ("suspend", "resume"):
            moved = body(await ask(f"sessions/{method}", {"session": session["id"]}, root, client_id=CANARY))
            assert moved.keys() & NOTES.keys() == set()
        assert code(await ask("sessions/create", NOTES, root)) == "unavailable"
    assert CANARY.encode() not in await in_database(kept_texts, [session["id"]])
    assert notes_of(await get(token, session["id"])) == NOTES


async def test_each_user_has_one_data_key_for_all_sessions(running: dict[str, User]) -> None:
    tokens = [await token_of(name) for name in ("alice", "bob", "alice")]
    for token in tokens:
        await created(token)
    subjects = await in_database(lambda: sorted(DataKey.objects.values_list("subject", flat=True)))
    assert subjects == sorted(subject_of(str(running[name].pk)) for name in ("alice", "bob"))


async def test_a_session_under_a_key_that_was_just_destroyed_gets_another_one(running: dict[str, User]) -> None:
    """Another node has destroyed it, and this one has not heard of it yet."""
    token = await token_of("alice")
    await created(token)
    await in_database(DataKey.objects.update, wrapped=b"", destroyed_at="2026-01-01T00:00:00Z")
    session = await created(token)
    opened_by_login = (await ask("resources/list", {}, await token_of("alice"), client_id="cli")).session_id
    restart()
    assert notes_of(await get(token, session["id"])) == NOTES
    assert (await get(token, str(opened_by_login)))["client_id"] == "cli"
    assert await in_database(DataKey.objects.count) == 2
