"""Prompts that are kept encrypted are shown as others are, as long as their keys are to be had."""

from pathlib import Path

from django.contrib.auth.models import User
from pytest_django import Settings

from encryption_app.policy import Rule
from resources_app.definitions import ROOT
from resources_app.prompts import prompts
from resources_app.shredding import destroy_content
from tests.encryption.conftest import forget, start_over
from tests.pipeline.calls import ask, body, code, token_of
from tests.sessions.conftest import entry

PROMPT = {"messages": [{"role": "user", "content": {"type": "text", "text": "Hello"}}]}
URI = f"{ROOT}prompts/kept"


async def names(token: str) -> list[str]:
    return [one["name"] for one in body(await ask("prompts/list", {}, token))["prompts"]]


async def test_an_encrypted_prompt_is_shown_until_its_content_is_destroyed(
    running: dict[str, User], settings: Settings
) -> None:
    settings.ENCRYPT = (Rule(f"{ROOT}prompts/", "local"),)
    token = await token_of("alice")
    body(await ask("resources/write", {"uri": URI, "content": PROMPT}, token))
    body(await ask("resources/write", {"uri": f"{ROOT}prompts/other", "content": PROMPT}, token))
    assert await names(token) == ["kept", "other"]
    start_over()
    assert await names(token) == ["kept", "other"]
    await destroy_content(URI, entry())
    assert await names(token) == ["other"]
    assert code(await ask("prompts/get", {"name": "kept"}, token)) == "resource_not_found"


async def test_without_its_key_nothing_is_shown(running: dict[str, User], settings: Settings, tmp_path: Path) -> None:
    settings.ENCRYPT = (Rule(f"{ROOT}prompts/", "local"),)
    token = await token_of("alice")
    body(await ask("resources/write", {"uri": URI, "content": PROMPT}, token))
    assert await names(token) == ["kept"]
    held = await prompts.find()
    settings.ENCRYPTION_KEYRING = tmp_path / "another.json"
    forget()
    assert code(await ask("prompts/list", {}, token)) == "unavailable"
    settings.ENCRYPTION_KEYRING = tmp_path / "keyring.json"
    forget()
    assert await names(token) == ["kept"]
    assert await prompts.find() is held
