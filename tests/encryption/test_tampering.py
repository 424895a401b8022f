"""Ciphertext that is not where it was written is never served, and the operator hears of it (quality 27)."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User

from audit_app.database import in_database
from resources_app.hub.hub import hub
from tests.encryption.conftest import OTHER, URI, start_over
from tests.encryption.stored import alarms, count_of, damage_event, forge_key_id, put_back, swap_keys, swap_resources
from tests.pipeline.calls import ask, code, entries_of, token_of
from tests.resources.outlets import Client, following
from tests.stack.waiting import eventually

TAMPERINGS: dict[str, Callable[[], None]] = {
    "content of another resource": lambda: swap_resources(URI, OTHER),
    "content of another version": lambda: put_back(URI, 1),
}


async def prepare(token: str) -> None:
    for number in range(2):
        for uri in (URI, OTHER):
            await ask("resources/write", {"uri": uri, "content": {"of": uri, "n": number}}, token)


async def told(count: int) -> None:
    async def heard() -> bool:
        return len(await in_database(alarms)) >= count

    await eventually(heard, 30, "the alarm is committed")


@pytest.mark.parametrize("tampering", TAMPERINGS)
async def test_tampered_content_is_not_served(running: dict[str, User], tampering: str) -> None:
    token = await token_of("alice")
    await prepare(token)
    await in_database(TAMPERINGS[tampering])
    before = count_of("content")
    for consistency in ("strong", "causal"):
        start_over()
        reply = await ask("resources/read", {"uri": URI, "consistency": consistency}, token)
        assert (code(reply), reply.outcome) == ("internal_error", "error")
    assert count_of("content") == before + 2
    await told(2)
    entry, _ = await in_database(alarms)
    assert (entry["resource_id"], entry["outcome"], entry["details"]["version"]) == (URI, "error", 2)


async def test_what_tampered_content_would_be_changed_to_is_refused(running: dict[str, User]) -> None:
    token = await token_of("alice")
    await prepare(token)
    await in_database(swap_resources, URI, OTHER)
    start_over()
    reply = await ask("resources/patch", {"uri": URI, "patch": {"a": 1}}, token)
    assert code(reply) == "internal_error"
    assert len(await entries_of(reply)) == 1
    await told(1)
    # a new content does not depend on the old one
    assert code(await ask("resources/write", {"uri": URI, "content": 1}, token)) is None


async def test_a_data_key_of_another_resource_opens_nothing(running: dict[str, User]) -> None:
    token = await token_of("alice")
    await prepare(token)
    await in_database(swap_keys, URI, OTHER)
    start_over()
    before = count_of("data key")
    assert code(await ask("resources/read", {"uri": URI}, token)) == "internal_error"
    assert count_of("data key") == before + 1
    await told(1)


async def test_an_old_version_is_checked_as_well(running: dict[str, User]) -> None:
    token = await token_of("alice")
    await prepare(token)
    await in_database(damage_event, URI, 1)
    start_over()
    assert code(await ask("resources/read", {"uri": URI, "version": 1}, token)) == "internal_error"
    assert code(await ask("resources/diff", {"uri": URI, "from": 1}, token)) == "internal_error"
    assert code(await ask("resources/read", {"uri": URI, "version": 2}, token)) is None


async def test_a_data_key_that_never_was_is_not_taken_for_one_that_was_destroyed(running: dict[str, User]) -> None:
    token = await token_of("alice")
    await prepare(token)
    await in_database(forge_key_id, URI)
    for params in ({}, {"version": 1}):
        start_over()
        assert code(await ask("resources/read", {"uri": URI, **params}, token)) == "internal_error"
    assert code(await ask("resources/patch", {"uri": URI, "patch": {"a": 1}}, token)) == "internal_error"
    await told(3)


async def test_a_follower_is_told_to_start_again_rather_than_given_what_was_tampered_with(
    running: dict[str, User],
) -> None:
    token = await token_of("alice")
    await prepare(token)
    await in_database(damage_event, URI, 2)
    start_over()
    client = Client()
    follower = await hub.follow(following(URI, after=0), client)
    client.followers["s"] = follower
    hub.begin(follower)
    await eventually(lambda: client.resets, 30, "the follower is reset")
    assert client.offsets == []
    hub.leave(follower)
