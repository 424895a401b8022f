"""A re-encryption ends, whatever is lost, away, damaged or killed, and says what it could not do and why."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.management import CommandError
from pytest_django import Settings

from audit_app.database import in_database
from encryption_app.envelope import is_sealed
from encryption_app.errors import KeysAway
from encryption_app.models import DataKey
from encryption_app.policy import SESSIONS, Rule
from resources_app.models import Event, Resource
from sessions_app import reencryption
from sessions_app.models import Session
from sessions_app.reencryption import begin_reencryption, reencrypt
from sessions_app.sealed import subject_of
from sessions_app.sessions import forget as forget_sessions
from tests.encryption.conftest import CANARY, OTHER, PREFIX, URI, start_over
from tests.encryption.stored import swap_keys
from tests.encryption.test_key_service import keyring_unreadable
from tests.encryption.test_rotation import LONG, current, keys_in, manage, read, wrapped_by, write
from tests.pipeline.calls import ask, body, code, token_of
from tests.sessions.conftest import entry
from tests.stack.beside import run_beside


def lose(keyring: Path, key_id: str) -> None:
    """A key-encryption key is not at its provider any more."""
    document = json.loads(keyring.read_text())
    del document["keys"][key_id]
    keyring.write_text(json.dumps(document))


async def rotated(token: str, *uris: str) -> str:
    """Resources, and then a new key-encryption key; the id of the old one."""
    for uri in uris:
        await write(token, uri, {"of": uri})
    old = await current()
    await manage("rotate", "--provider", "local")
    return old


async def status() -> Any:
    return json.loads(await manage("status", "--json"))["reencryption"]


async def test_what_is_under_a_lost_key_is_passed_by_and_told(running: dict[str, User], settings: Settings) -> None:
    token = await token_of("alice")
    lost = await rotated(token, URI)
    other = await rotated(token, OTHER)
    lose(settings.ENCRYPTION_KEYRING, lost)
    start_over()
    with pytest.raises(CommandError) as failed:
        await manage("reencrypt", "--here")
    assert failed.value.returncode == 1
    assert "1 could not be re-encrypted" in str(failed.value)
    assert f"data key {URI}: " in str(failed.value) and f"has no key {lost}" in str(failed.value)
    assert await in_database(wrapped_by) == {URI: lost, OTHER: await current()}
    assert other not in (await in_database(wrapped_by)).values()
    assert [failure["subject"] for failure in (await status())["failures"]] == [URI]
    assert f"has no key {lost}" in await manage("status")


async def test_content_that_takes_a_lost_key_is_passed_by_as_well(running: dict[str, User], settings: Settings) -> None:
    token = await token_of("alice")
    lost = await rotated(token, URI)
    await write(token, OTHER, 1)
    lose(settings.ENCRYPTION_KEYRING, lost)
    settings.ENCRYPT = ()
    start_over()
    with pytest.raises(CommandError, match="3 could not be re-encrypted"):
        await manage("reencrypt", "--here")
    kept = dict(await in_database(lambda: list(Resource.objects.values_list("uri", "body"))))
    assert {uri: is_sealed(bytes(body)) for uri, body in kept.items()} == {URI: True, OTHER: False}


async def test_a_provider_that_is_away_is_waited_for_so_many_times(
    running: dict[str, User], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reencryption, "MAX_WAITS", 2)
    token = await token_of("alice")
    await rotated(token, URI, OTHER)
    settings.ENCRYPT = ()
    await begin_reencryption(entry())
    with keyring_unreadable(settings):
        start_over()
        for _ in range(2):
            with pytest.raises(KeysAway):
                await reencrypt(LONG, entry())
        run = await reencrypt(LONG, entry())
    assert run is not None and (run.is_finished, run.failed) == (True, 6)
    assert {failure["why"] for failure in run.told} != {""}
    start_over()
    await begin_reencryption(entry())
    run = await reencrypt(LONG, entry())
    assert run is not None and (run.is_finished, run.failed, run.data_keys, run.resources) == (True, 0, 2, 2)


async def test_one_that_comes_back_in_time_costs_nothing(running: dict[str, User], settings: Settings) -> None:
    await rotated(await token_of("alice"), URI)
    await begin_reencryption(entry())
    with keyring_unreadable(settings):
        start_over()
        with pytest.raises(KeysAway):
            await reencrypt(LONG, entry())
    start_over()
    run = await reencrypt(LONG, entry())
    assert run is not None and (run.is_finished, run.failed, run.data_keys) == (True, 0, 1)


async def test_what_was_damaged_is_told(running: dict[str, User], settings: Settings) -> None:
    await rotated(await token_of("alice"), URI, OTHER)
    await in_database(swap_keys, URI, OTHER)
    start_over()
    with pytest.raises(CommandError, match="it is not what was written"):
        await manage("reencrypt", "--here")


async def test_the_watch_ends(running: dict[str, User]) -> None:
    """No worker does anything here."""
    with pytest.raises(CommandError, match="Time is over") as late:
        await manage("reencrypt", "--timeout", "0")
    assert late.value.returncode == 2
    assert "done" in await manage("reencrypt", "--here", "--timeout", "60")


async def test_sessions_are_brought_in_line_with_their_rule(running: dict[str, User], settings: Settings) -> None:
    token = await token_of("alice")
    ids = [body(await ask("sessions/create", {"label": f"{CANARY} {n}"}, token))["id"] for n in range(3)]
    # copies for other nodes, from before the rule
    forget_sessions()
    for id in ids:
        assert code(await ask("resources/list", {}, token, session_id=id)) is None
    for rules, is_encrypted in (((Rule(SESSIONS, "local"),), True), ((), False)):
        settings.ENCRYPT = rules
        said = await manage("reencrypt", "--here")
        assert f"{await in_database(Session.objects.count)} sessions" in said
        rows = await in_database(lambda: list(Session.objects.filter(id__in=ids)))
        assert [(bool(row.sealed), CANARY in row.label) for row in rows] == [(is_encrypted, not is_encrypted)] * 3
        if is_encrypted:
            copies = await in_database(cache.get_many, [f"session:{id}" for id in ids])
            assert CANARY not in str(copies)
        start_over()
        forget_sessions()
        for number, id in enumerate(ids):
            assert body(await ask("sessions/get", {"session": id}, token))["label"] == f"{CANARY} {number}"


async def test_keys_of_sessions_are_rotated_like_others(running: dict[str, User], settings: Settings) -> None:
    settings.ENCRYPT = (Rule(SESSIONS, "local"),)
    token = await token_of("alice")
    id = body(await ask("sessions/create", {"label": CANARY}, token))["id"]
    old = await current()
    await manage("rotate", "--provider", "local")
    await manage("reencrypt", "--here")
    await manage("destroy", "--provider", "local", "--key", old, "--yes")
    assert keys_in(settings.ENCRYPTION_KEYRING) == [await current()]
    start_over()
    assert body(await ask("sessions/get", {"session": id}, token))["label"] == CANARY


async def test_what_the_sessions_of_a_user_know_is_destroyed_and_they_end(
    running: dict[str, User], settings: Settings
) -> None:
    token, other = await token_of("alice"), await token_of("bob")
    mine = body(await ask("sessions/create", {"label": CANARY}, token))["id"]
    settings.ENCRYPT = (Rule(SESSIONS, "local"),)
    theirs = body(await ask("sessions/create", {"label": CANARY}, other))["id"]
    with pytest.raises(CommandError, match="kept without encryption"):
        await manage("destroy", "--sessions", "alice", "--yes")
    await manage("reencrypt", "--here")
    cached = body(await ask("sessions/create", {"label": CANARY, "backend": "cache"}, token))["id"]
    said = await manage("destroy", "--sessions", "alice", "--yes")
    assert "ended: 2" in said
    start_over()
    forget_sessions()
    for id in (mine, cached):
        assert code(await ask("sessions/get", {"session": id}, token)) == "resource_not_found"
    assert body(await ask("sessions/get", {"session": theirs}, other))["label"] == CANARY
    # what is opened from now on has another key
    body(await ask("sessions/create", {"label": CANARY}, token))
    subject = subject_of(str(running["alice"].pk))
    assert await in_database(DataKey.objects.filter(subject=subject).count) == 2
    for user, says in (("new", "no sessions"), ("nobody", "no user")):
        with pytest.raises(CommandError, match=says):
            await manage("destroy", "--sessions", user, "--yes")


async def test_workers_that_are_killed_in_the_middle_lose_nothing(running: dict[str, User], settings: Settings) -> None:
    token = await token_of("alice")
    uris = [f"{PREFIX}{number}" for number in range(6)]
    await rotated(token, *uris[:3])
    rules, settings.ENCRYPT = settings.ENCRYPT, ()
    for uri in uris:
        await write(token, uri, {"now": uri})
    id = body(await ask("sessions/create", {"label": CANARY}, token))["id"]
    arguments = (str(settings.ENCRYPTION_KEYRING), PREFIX)
    *killed, last = await asyncio.to_thread(run_beside, "tests.encryption.mortal_reencryption", *arguments)
    assert [line.split()[0] for line in killed] == ["killed"] * 7
    assert last == "done 0"
    settings.ENCRYPT = (*rules, Rule(SESSIONS, "local"))
    start_over()
    forget_sessions()
    kept = await in_database(lambda: [*Event.objects.values_list("body"), *Resource.objects.values_list("body")])
    assert {is_sealed(bytes(body)) for (body,) in kept} == {True}
    assert set((await in_database(wrapped_by)).values()) == {await current()}
    for uri in uris:
        assert await read(token, uri) == {"now": uri}
    assert body(await ask("sessions/get", {"session": id}, token))["label"] == CANARY
