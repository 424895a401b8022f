"""New keys for what is new, and the old ones replaced while everything goes on (quality 27)."""

import asyncio
import base64
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connections
from pytest_django import Settings

from audit_app.database import in_database
from audit_app.models import OutboxEntry
from audit_app.writer import writer
from encryption_app.envelope import is_sealed
from encryption_app.key_encryption import add_key, destroy_key
from encryption_app.models import DataKey, KeyEncryptionKey
from encryption_app.policy import Rule
from encryption_app.runs import MoveRun, last_run
from encryption_app.services import service_of
from resources_app.models import Event, Resource
from sessions_app import reencryption
from sessions_app.reencryption import begin_reencryption, reencrypt
from tests.encryption.conftest import CANARY, OTHER, PLAIN, PREFIX, URI, start_over
from tests.encryption.stored import swap_keys
from tests.pipeline.calls import ask, body, token_of
from tests.sessions.conftest import entry

LONG = 60.0


def keys(*arguments: str) -> str:
    """What `manage.py keys` says."""
    out = StringIO()
    try:
        call_command("keys", *arguments, stdout=out)
    finally:
        connections.close_all()
    return out.getvalue()


async def manage(*arguments: str) -> str:
    return await asyncio.to_thread(keys, *arguments)


async def write(token: str, uri: str, content: Any) -> None:
    body(await ask("resources/write", {"uri": uri, "content": content}, token))


async def read(token: str, uri: str, **params: Any) -> Any:
    return body(await ask("resources/read", {"uri": uri, **params}, token))["content"]


def wrapped_by() -> dict[str, str]:
    return dict(DataKey.objects.values_list("subject", "key_id"))


async def current() -> str:
    status = json.loads(await manage("status", "--json"))
    return next(str(key["key"]) for key in status["keys"] if key["state"] == "current")


@pytest.fixture
def brought(settings: Settings) -> Path:
    """The keyring of an operator who has made one."""
    keyring: Path = settings.ENCRYPTION_KEYRING
    keyring.write_text(json.dumps({"format": 1, "keys": {"mine": base64.b64encode(bytes(32)).decode()}}))
    keyring.chmod(0o600)
    return keyring


def keys_in(keyring: Path) -> list[str]:
    return list(json.loads(keyring.read_text())["keys"])


async def test_the_key_that_an_operator_has_brought_is_the_first_one(running: dict[str, User], brought: Path) -> None:
    token = await token_of("alice")
    await write(token, URI, 1)
    assert await in_database(wrapped_by) == {URI: "mine"}
    assert keys_in(brought) == ["mine"]


async def test_who_begins_with_it_too_late_does_not_destroy_it(running: dict[str, User], brought: Path) -> None:
    made = await asyncio.gather(*(add_key(service_of("local"), entry()) for _ in range(4)))
    assert "mine" in made
    assert "mine" in keys_in(brought)


async def test_a_new_key_wraps_what_is_new_and_reencryption_wraps_the_rest(running: dict[str, User]) -> None:
    token = await token_of("alice")
    await write(token, URI, 1)
    first = await current()
    await manage("rotate", "--provider", "local")
    second = await current()
    await write(token, OTHER, 2)
    assert await in_database(wrapped_by) == {URI: first, OTHER: second}
    said = await manage("reencrypt", "--here")
    assert "done; changed so far: 1 data keys, 0 resources, 0 events" in said
    assert await in_database(wrapped_by) == {URI: second, OTHER: second}
    await manage("destroy", "--provider", "local", "--key", first, "--yes")
    start_over()
    assert [await read(token, uri) for uri in (URI, OTHER)] == [1, 2]
    states = {key["key"]: key["state"] for key in json.loads(await manage("status", "--json"))["keys"]}
    assert states == {first: "destroyed", second: "current"}


async def test_a_key_that_wraps_anything_or_what_is_new_is_not_destroyed(running: dict[str, User]) -> None:
    token = await token_of("alice")
    await write(token, URI, 1)
    first = await current()
    with pytest.raises(CommandError, match="rotate first"):
        await manage("destroy", "--provider", "local", "--key", first, "--yes")
    await manage("rotate", "--provider", "local")
    with pytest.raises(CommandError, match="wraps 1 data keys"):
        await manage("destroy", "--provider", "local", "--key", first, "--yes")
    with pytest.raises(CommandError, match="no such key"):
        await manage("destroy", "--provider", "local", "--key", "another", "--yes")
    start_over()
    assert await read(token, URI) == 1


async def test_content_from_before_its_rule_is_encrypted_and_after_it_is_not(
    running: dict[str, User], settings: Settings
) -> None:
    token = await token_of("alice")
    rules, settings.ENCRYPT = settings.ENCRYPT, ()
    for number in range(3):
        for uri in (URI, OTHER, PLAIN):
            await write(token, uri, [CANARY, number])
    # what is deleted has no content to encrypt
    await write(token, f"{PREFIX}gone", CANARY)
    body(await ask("resources/delete", {"uri": f"{PREFIX}gone"}, token))
    for wanted in (rules, ()):
        settings.ENCRYPT = wanted
        said = await manage("reencrypt", "--here")
        assert "done; changed so far: 0 data keys, 2 resources, 7 events" in said
        kept = await in_database(lambda: list(Event.objects.values_list("uri", "body")))
        kept += await in_database(lambda: list(Resource.objects.values_list("uri", "body")))
        for uri, stored in kept:
            assert is_sealed(bytes(stored)) is (bool(stored) and bool(wanted) and uri.startswith(PREFIX))
        start_over()
        for uri in (URI, OTHER, PLAIN):
            assert await read(token, uri) == [CANARY, 2]
            assert await read(token, uri, version=1) == [CANARY, 0]


async def test_it_goes_on_where_it_was_left(
    running: dict[str, User], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await token_of("alice")
    monkeypatch.setattr(reencryption, "STEP", 2)
    rules, settings.ENCRYPT = settings.ENCRYPT, ()
    for number in range(5):
        await write(token, f"{PREFIX}{number}", number)
    settings.ENCRYPT = rules
    begun = await begin_reencryption(entry())
    assert await begin_reencryption(entry()) == begun
    places = []
    left = begun
    while not left.is_finished:
        # no time at all is enough for one step
        await reencrypt(0.0, entry())
        kept = await in_database(last_run)
        assert kept is not None
        left = kept
        places.append((left.phase, left.cursor))
    assert (left.resources, left.events) == (5, 5)
    assert len(set(places)) == len(places) > 8
    assert (await begin_reencryption(entry())).number == left.number + 1


async def test_two_at_once_do_not_move_a_run_twice(running: dict[str, User]) -> None:
    begun = await begin_reencryption(entry())
    await asyncio.gather(*(reencrypt(LONG, entry()) for _ in range(4)))
    last = await in_database(last_run)
    assert last is not None and last.is_finished and last.number == begun.number
    assert await in_database(OutboxEntry.objects.filter(entry__contains='"data_keys":0').count) == 1


async def test_readers_notice_nothing_while_keys_are_rotated(running: dict[str, User]) -> None:
    token = await token_of("alice")
    uris = [f"{PREFIX}{number}" for number in range(8)]
    stop = asyncio.Event()
    failed: list[object] = []
    answered = 0

    async def keep_reading() -> None:
        nonlocal answered
        while not stop.is_set():
            # with time in between, in which a change can have the keys that it fetches
            start_over()
            for uri in uris:
                reply = await ask("resources/read", {"uri": uri, "consistency": "strong"}, token)
                answered += 1
                if reply.refusal is not None:
                    failed.append(reply.refusal)

    async def keep_writing() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            for uri in uris:
                reply = await ask("resources/patch", {"uri": uri, "patch": {"n": number}}, token)
                if reply.refusal is not None:
                    failed.append(reply.refusal)

    for uri in uris:
        await write(token, uri, {"of": uri})
    working = [asyncio.create_task(work()) for work in (keep_reading, keep_reading, keep_writing)]
    try:
        local = service_of("local")
        for _ in range(3):
            old = [key.key_id for key in await in_database(lambda: list(KeyEncryptionKey.objects.all()))]
            await add_key(local, entry())
            await begin_reencryption(entry())
            await reencrypt(LONG, entry())
            for key_id in old:
                await destroy_key(local, key_id, entry())
    finally:
        stop.set()
        await asyncio.gather(*working)
    assert failed == []
    assert answered > len(uris)
    for uri in uris:
        start_over()
        assert (await read(token, uri))["of"] == uri


async def test_a_run_that_others_have_moved_is_not_moved_back(running: dict[str, User]) -> None:
    begun = await begin_reencryption(entry())
    done = await reencrypt(LONG, entry())
    assert done is not None and done.is_finished
    assert await writer.submit(MoveRun(before=begun, run=begun)) is False
    assert await in_database(last_run) != begun


async def test_a_closer_rule_may_leave_something_out(running: dict[str, User], settings: Settings) -> None:
    token = await token_of("alice")
    settings.ENCRYPT = (Rule(URI, "local"), Rule(PREFIX, "off"))
    await write(token, URI, 1)
    await write(token, OTHER, 2)
    assert await in_database(wrapped_by) == {URI: await current()}


async def test_what_was_tampered_with_does_not_keep_the_rest_from_being_brought_in_line(
    running: dict[str, User], settings: Settings
) -> None:
    token = await token_of("alice")
    third = f"{PREFIX}c"
    for uri in (URI, OTHER, third):
        await write(token, uri, CANARY)
    await in_database(swap_keys, URI, OTHER)
    settings.ENCRYPT = ()
    start_over()
    await begin_reencryption(entry())
    run = await reencrypt(LONG, entry())
    assert run is not None and run.is_finished
    kept = dict(await in_database(lambda: list(Resource.objects.values_list("uri", "body"))))
    assert {uri: is_sealed(bytes(body)) for uri, body in kept.items()} == {URI: True, OTHER: True, third: False}
