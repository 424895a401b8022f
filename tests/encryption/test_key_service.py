"""While the keys are away, data keys are used for their time; then what they keep is closed, and nothing else is."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from pytest_django import Settings

from audit_app.errors import Unavailable
from audit_app.writer import Writer
from encryption_app.data_keys import data_keys
from encryption_app.errors import KeysAway
from encryption_app.providers import PROVIDERS
from encryption_app.providers.interface import Provider
from encryption_app.providers.local import Local
from encryption_app.services import service_of
from resources_app.hub.hub import hub
from resources_app.store import ChangeResources
from tests.encryption.conftest import OTHER, PLAIN, PREFIX, URI, start_over
from tests.pipeline.calls import ask, body, code, entries_of, token_of
from tests.resources.commands import entry
from tests.resources.outlets import Client, arrive, following
from tests.resources.states import write_of
from tests.stack.waiting import eventually


@contextmanager
def keyring_away(settings: Settings) -> Iterator[None]:
    """The keyring is somewhere else for a while."""
    keyring: Path = settings.ENCRYPTION_KEYRING
    away = keyring.rename(keyring.with_name("away.json"))
    yield
    away.rename(keyring)


@contextmanager
def keyring_unreadable(settings: Settings) -> Iterator[None]:
    """Something that cannot be read is where the keyring was."""
    with keyring_away(settings):
        settings.ENCRYPTION_KEYRING.mkdir(mode=0o700)
        yield
        settings.ENCRYPTION_KEYRING.rmdir()


async def prepare(token: str) -> None:
    for uri in (URI, PLAIN):
        body(await ask("resources/write", {"uri": uri, "content": {"of": uri}}, token))


async def reads(token: str, uri: str = URI) -> set[str | None]:
    """What reads of every consistency come to."""
    return {
        code(await ask("resources/read", {"uri": uri, "consistency": consistency}, token))
        for consistency in ("strong", "causal", "eventual")
    }


async def test_data_keys_at_hand_are_used_for_their_time_and_then_closed(
    running: dict[str, User], settings: Settings
) -> None:
    token = await token_of("alice")
    await prepare(token)
    with keyring_away(settings):
        assert await reads(token) == {None}
        assert code(await ask("resources/write", {"uri": URI, "content": 2}, token)) is None
        # their time is over; what this process has read is still in its memory
        data_keys.held.clear()
        assert await reads(token) == {"unavailable"}
        assert await reads(token, PLAIN) == {None}
    assert await reads(token) == {None}


async def test_what_cannot_be_encrypted_is_not_written(running: dict[str, User], settings: Settings) -> None:
    token = await token_of("alice")
    await prepare(token)
    with keyring_away(settings):
        start_over()
        for uri in (URI, OTHER):
            reply = await ask("resources/write", {"uri": uri, "content": 2}, token)
            assert code(reply) == "unavailable"
            (left,) = await entries_of(reply)
            assert (left["outcome"], left["code"]) == ("error", "unavailable")
        assert code(await ask("resources/write", {"uri": PLAIN, "content": 2}, token)) is None
    start_over()
    assert body(await ask("resources/read", {"uri": URI}, token))["version"] == 1
    assert code(await ask("resources/read", {"uri": OTHER}, token)) == "resource_not_found"


async def test_a_change_that_needs_what_cannot_be_opened_leaves_one_entry(
    running: dict[str, User], settings: Settings
) -> None:
    token = await token_of("alice")
    await prepare(token)
    settings.ENCRYPT = ()
    with keyring_away(settings):
        start_over()
        reply = await ask("resources/patch", {"uri": URI, "patch": {"a": 1}}, token)
        assert code(reply) == "unavailable"
        (left,) = await entries_of(reply)
        assert (left["outcome"], left["code"]) == ("error", "unavailable")


async def follow(client: Client, pattern: str, **wants: Any) -> None:
    client.followers["s"] = await hub.follow(following(pattern, **wants), client)
    hub.begin(client.followers["s"])


async def foreign_write(uri: str, other: Writer) -> None:
    """Another node writes."""
    keys = {uri: await data_keys.key_of(uri, "local")} if uri.startswith(PREFIX) else {}
    await other.submit(ChangeResources(changes=[write_of({"of": uri}, uri)], entry=entry(), keys=keys))


@pytest.mark.parametrize("away", [keyring_away, keyring_unreadable])
async def test_followers_of_what_cannot_be_opened_wait_for_it_and_others_do_not(
    running: dict[str, User], settings: Settings, away: Callable[[Settings], AbstractContextManager[None]]
) -> None:
    token = await token_of("alice")
    settings.LOG_POLL_SECONDS = 0.05
    await prepare(token)
    start = hub.position
    locked, pattern, plain, late = Client(), Client(), Client(), Client()
    await follow(locked, URI)
    await follow(pattern, f"{PREFIX}*")
    await follow(plain, PLAIN)
    other = Writer()
    written = [uri for _ in range(3) for uri in (URI, PLAIN)]
    key = await data_keys.key_of(URI, "local")
    with away(settings):
        data_keys.held.clear()
        for uri in written:
            keys = {URI: key} if uri == URI else {}
            await other.submit(ChangeResources(changes=[write_of({"of": uri}, uri)], entry=entry(), keys=keys))
        await eventually(lambda: len(plain.offsets) == 3, 30, "followers of other resources get their events")
        await follow(late, URI, after=start)
        assert await hub.reached(start + 6, 10)
        assert (locked.offsets, pattern.offsets, late.offsets) == ([], [], [])
        assert await reads(token) == {"unavailable"}
    expected = [start + 1, start + 3, start + 5]
    for client in (locked, pattern, late):
        await arrive(client, 3)
        assert client.offsets == expected
        assert client.resets == []
        hub.leave(client.followers["s"])
    hub.leave(plain.followers["s"])
    assert await reads(token) == {None}
    other.close()


async def test_keys_are_fetched_for_what_other_nodes_write(running: dict[str, User], settings: Settings) -> None:
    settings.LOG_POLL_SECONDS = 0.05
    token = await token_of("alice")
    await prepare(token)
    client, other = Client(), Writer()
    await follow(client, URI)
    for _ in range(3):
        await foreign_write(URI, other)
        start_over()
    await eventually(lambda: len(client.offsets) == 3, 30, "the events of the other node arrive")
    hub.leave(client.followers["s"])
    other.close()


async def test_a_provider_that_fails_in_a_way_of_its_own_is_away(settings: Settings) -> None:
    def fail(provider: Provider) -> None:
        raise KeyError("plaintext")

    with pytest.raises(Unavailable):
        await service_of("local").call(fail)


async def test_what_keeps_a_provider_from_its_work_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    def unwrapping(key_id: str) -> Callable[[Provider], bytes]:
        return lambda provider: provider.unwrap(key_id, b"", "")

    for key_id in ("one", "one", "other", "one"):
        with pytest.raises(KeysAway) as away:
            await service_of("local").call(unwrapping(key_id))
        assert away.value.is_lost and away.value.why.endswith(f"has no key {key_id}")
    lines = [record.getMessage() for record in caplog.records if record.name == "encryption_app.services"]
    assert [line.rpartition(" ")[2] for line in lines] == ["one", "other"]


class Thoughtful(Local):
    """A provider that takes its time to be made."""

    made_on: ClassVar[list[str]] = []
    may_go_on: ClassVar[threading.Event]

    @classmethod
    def by_settings(cls) -> "Thoughtful":
        cls.made_on.append(threading.current_thread().name)
        cls.may_go_on.wait()
        return cls(settings.ENCRYPTION_KEYRING)


async def test_a_provider_is_made_once_and_holds_up_nobody_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROVIDERS, "thoughtful", f"{__name__}.Thoughtful")
    monkeypatch.setattr(Thoughtful, "made_on", [])
    monkeypatch.setattr(Thoughtful, "may_go_on", threading.Event(), raising=False)
    asked = [asyncio.create_task(service_of("thoughtful").call(lambda provider: provider.create())) for _ in range(9)]
    # that this coroutine is run at all shows that the loop is free
    await eventually(lambda: Thoughtful.made_on, 30, "it is being made")
    Thoughtful.may_go_on.set()
    assert len(set(await asyncio.gather(*asked))) == 9
    (thread,) = Thoughtful.made_on
    assert thread.startswith("keys thoughtful")
