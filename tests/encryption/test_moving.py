"""Providers over the network: content goes on while keys move between them, and one that hangs holds up nobody."""

import asyncio
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from audit_app.database import in_database
from encryption_app import services
from encryption_app.data_keys import data_keys
from encryption_app.models import DataKey
from encryption_app.policy import SESSIONS, Rule
from sessions_app.reencryption import begin_reencryption, reencrypt
from tests.encryption.conftest import OTHER, PLAIN, PREFIX, URI, start_over
from tests.encryption.vault_server import TOKEN, VaultServer
from tests.pipeline.calls import ask, body, code, token_of
from tests.sessions.conftest import entry


@pytest.fixture
def vault(settings: Settings) -> Iterator[VaultServer]:
    """A Vault that rules may name."""
    server = VaultServer()
    settings.VAULT_ADDR, settings.VAULT_TOKEN = server.url, TOKEN
    yield server
    server.stop()


def providers() -> dict[str, str]:
    return dict(DataKey.objects.values_list("subject", "provider"))


async def write(token: str, uri: str, content: object) -> None:
    body(await ask("resources/write", {"uri": uri, "content": content}, token))


async def codes(token: str, *uris: str) -> list[str | None]:
    return [code(await ask("resources/read", {"uri": uri}, token)) for uri in uris]


async def test_a_rule_that_names_another_provider_has_data_keys_moved_there(
    running: dict[str, User], settings: Settings, vault: VaultServer
) -> None:
    token = await token_of("alice")
    await write(token, URI, 1)
    settings.ENCRYPT = (Rule(PREFIX, "vault"),)
    await write(token, OTHER, 2)
    assert await in_database(providers) == {URI: "local", OTHER: "vault"}
    await begin_reencryption(entry())
    done = await reencrypt(60.0, entry())
    assert done is not None and (done.is_finished, done.data_keys) == (True, 1)
    assert await in_database(providers) == {URI: "vault", OTHER: "vault"}
    settings.ENCRYPTION_KEYRING.unlink()
    start_over()
    assert await codes(token, URI, OTHER) == [None, None]


async def test_one_that_hangs_is_left_alone_and_everything_else_goes_on(
    running: dict[str, User], settings: Settings, vault: VaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "WAIT_SECONDS", 2.0)
    token = await token_of("alice")
    settings.ENCRYPT = (Rule(URI, "vault"), Rule(OTHER, "local"))
    for uri in (URI, OTHER, PLAIN):
        await write(token, uri, 1)
    vault.silent = True
    start_over()
    hanging = asyncio.create_task(codes(token, *[URI] * 20))
    assert await codes(token, OTHER, PLAIN) == [None, None]
    assert set(await hanging) == {"unavailable"}
    assert code(await ask("resources/write", {"uri": URI, "content": 2}, token)) == "unavailable"
    vault.silent = False
    vault.woken.set()
    monkeypatch.setattr(services, "WAIT_SECONDS", 60.0)

    start_over()
    assert await codes(token, URI) == [None]


async def test_many_who_want_one_key_make_one_call(
    running: dict[str, User], settings: Settings, vault: VaultServer
) -> None:
    token = await token_of("alice")
    settings.ENCRYPT = (Rule(PREFIX, "vault"),)
    await write(token, URI, 1)
    start_over()
    before = len(vault.asked)
    replies = await asyncio.gather(*(ask("resources/read", {"uri": URI}, token) for _ in range(50)))
    assert {code(reply) for reply in replies} == {None}
    assert len(vault.asked) == before + 1
    assert data_keys.held.of(URI) is not None


async def test_many_sessions_that_are_shown_at_once_make_one_call_a_key(
    running: dict[str, User], settings: Settings, vault: VaultServer
) -> None:
    settings.ENCRYPT = (Rule(SESSIONS, "vault"),)
    tokens = {name: await token_of(name) for name in ("alice", "bob")}
    made = await asyncio.gather(*(ask("sessions/create", {"label": "a"}, tokens[n]) for n in ["alice"] * 100 + ["bob"]))
    ids = [body(reply)["id"] for reply in made[:100]]
    start_over()
    before = len(vault.asked)
    shown = await asyncio.gather(*(ask("sessions/get", {"session": id}, tokens["alice"]) for id in ids))
    assert {body(reply)["label"] for reply in shown} == {"a"}
    assert len(vault.asked) == before + 1
    start_over()
    root = await token_of("root")
    body(await ask("resources/list", {}, root))
    before = len(vault.asked)
    listed = body(await ask("sessions/list", {"limit": 1000}, root))["sessions"]
    assert len([session for session in listed if session["label"] == "a"]) == 101
    # the session of root was just opened, so its key is at hand
    assert len(vault.asked) == before + 2
