"""Destroying the data key of a resource destroys its content everywhere, and for good."""

import asyncio
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError
from pytest_django import Settings

from audit_app.database import in_database
from encryption_app.models import DataKey
from resources_app.errors import ResourceNotFound
from resources_app.hub.followers import Form
from resources_app.hub.hub import hub
from resources_app.shredding import NotEncrypted, destroy_content
from tests.encryption.conftest import CANARY, OTHER, PLAIN, PREFIX, URI, forget, start_over
from tests.encryption.test_rotation import keys, read, write
from tests.pipeline.calls import ask, body, code, token_of
from tests.resources.outlets import Client, arrive, following
from tests.sessions.conftest import entry
from tests.stack.waiting import eventually


async def shredded(token: str) -> None:
    """Two versions of a resource, and their content destroyed."""
    for number in (1, 2):
        await write(token, URI, {"n": number, "a": CANARY})
        await write(token, OTHER, number)
    await destroy_content(URI, entry())


@pytest.mark.parametrize("is_fresh", [False, True])
async def test_no_version_can_be_read_any_more(running: dict[str, User], is_fresh: bool) -> None:
    token = await token_of("alice")
    await shredded(token)
    if is_fresh:
        start_over()
    calls: list[tuple[str, dict[str, Any]]] = [
        ("resources/read", {}),
        ("resources/read", {"version": 1}),
        ("resources/read", {"version": 2}),
        ("resources/diff", {"from": 1, "to": 2}),
        ("resources/restore", {"version": 1}),
        ("resources/patch", {"patch": {}}),
    ]
    for method, params in calls:
        assert code(await ask(method, {"uri": URI, **params}, token)) == "resource_not_found", method
    refusal = (await ask("resources/read", {"uri": URI, "version": 1}, token)).refusal
    assert refusal is not None and refusal.data["content_destroyed"] is True
    history = body(await ask("resources/history", {"uri": URI}, token))["versions"]
    assert [(version["version"], version["type"]) for version in history][:1] == [(3, "deleted")]
    assert await read(token, OTHER) == 2


async def test_what_is_written_afterwards_has_a_key_of_its_own(running: dict[str, User]) -> None:
    token = await token_of("alice")
    await shredded(token)
    await write(token, URI, "new")
    start_over()
    assert await read(token, URI) == "new"
    assert code(await ask("resources/read", {"uri": URI, "version": 1}, token)) == "resource_not_found"
    # a change of what was destroyed cannot be merged
    late = {"uri": URI, "content": 1, "base_version": 2, "on_conflict": "merge"}
    refusal = (await ask("resources/write", late, token)).refusal
    assert refusal is not None
    assert (refusal.code, refusal.data.get("base_unknown")) == ("version_conflict", True)


async def test_a_backup_of_the_tables_does_not_bring_it_back(running: dict[str, User]) -> None:
    token = await token_of("alice")
    await write(token, URI, CANARY)
    backup = await in_database(lambda: bytes(DataKey.objects.get().wrapped))
    await destroy_content(URI, entry())
    (key,) = await in_database(lambda: list(DataKey.objects.all()))
    assert (bytes(key.wrapped), key.destroyed_at is None) == (b"", False)
    assert backup


async def test_followers_are_told_of_the_deletion_and_replays_have_no_content(running: dict[str, User]) -> None:
    token = await token_of("alice")
    live, late = Client(), Client()
    start = hub.position
    live.followers["s"] = await hub.follow(following(URI), live)
    hub.begin(live.followers["s"])
    await shredded(token)
    await arrive(live, 3)
    late.followers["s"] = await hub.follow(following(URI, after=start), late)
    hub.begin(late.followers["s"])
    await arrive(late, 3)
    assert late.offsets == live.offsets
    assert hub.cache.get(URI) is None or hub.cache.get(URI).state.deleted  # type: ignore[union-attr]
    for client in (live, late):
        hub.leave(client.followers["s"])


async def test_what_was_replayed_a_moment_ago_is_not_replayed_with_its_content(
    running: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources_app.hub.replays.KEEP_SECONDS", 3600)
    token = await token_of("alice")
    start = hub.position
    await write(token, URI, {"a": CANARY})
    await write(token, OTHER, {"a": CANARY})
    before, after = Reader(), Reader()
    await replay(before, f"{PREFIX}*", start, 2)
    assert before.text.count(CANARY) == 2
    await destroy_content(URI, entry())
    await replay(after, f"{PREFIX}*", start, 3)
    assert after.offsets[:2] == before.offsets
    assert (after.text.count(CANARY), after.text.count("content_destroyed")) == (1, 1)


async def test_what_was_replayed_a_moment_ago_waits_for_its_key_once_that_is_not_held(
    running: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources_app.hub.replays.KEEP_SECONDS", 3600)
    token = await token_of("alice")
    start = hub.position
    await write(token, URI, {"a": CANARY})
    await replay(Reader(), URI, start, 1)
    await in_database(DataKey.objects.filter(subject=URI).update, wrapped=b"", destroyed_at="2026-01-01T00:00:00Z")
    forget()
    late = Reader()
    await replay(late, URI, start, 1)
    assert CANARY not in late.text


class Reader(Client):
    """Remembers the texts."""

    form: Form = staticmethod(lambda events, texts: list(zip([event.offset for event in events], texts, strict=True)))

    @property
    def text(self) -> str:
        return "".join(text for frame in self.frames for _, text in frame)


async def replay(reader: Reader, pattern: str, after: int, count: int) -> None:
    """A follower of its own topic, so that all comes from the log."""
    reader.followers["s"] = await hub.follow(following(pattern, after=after), reader)
    hub.begin(reader.followers["s"])
    await arrive(reader, count)
    hub.leave(reader.followers["s"])


async def test_a_poll_says_that_content_was_destroyed(running: dict[str, User]) -> None:
    token = await token_of("alice")
    await write(token, URI, 0)
    start = hub.position
    made = body(await ask("subscriptions/create", {"uri": URI, "from": start}, token))
    await shredded(token)
    events = body(await ask("events/poll", {"subscription": made["id"], "timeout_ms": 1000, "limit": 10}, token))
    told = [(event["type"].rpartition(".")[2], event["data"].get("content_destroyed")) for event in events["events"]]
    assert told == [("updated", True), ("updated", True), ("deleted", None)]
    assert all("content" not in event["data"] for event in events["events"])


async def test_another_node_forgets_what_it_has_in_memory(running: dict[str, User], settings: Settings) -> None:
    settings.LOG_POLL_SECONDS = 0.05
    token = await token_of("alice")
    await write(token, URI, CANARY)
    assert await read(token, URI, consistency="eventual") == CANARY
    await asyncio.to_thread(keys, "destroy", "--resource", URI, "--yes")

    async def is_gone() -> bool:
        reply = await ask("resources/read", {"uri": URI, "consistency": "eventual"}, token)
        return code(reply) == "resource_not_found"

    await eventually(is_gone, 30, "the content is gone")


async def test_what_is_kept_without_encryption_is_not_said_to_be_destroyed(
    running: dict[str, User], settings: Settings
) -> None:
    token = await token_of("alice")
    rules, settings.ENCRYPT = settings.ENCRYPT, ()
    await write(token, URI, 1)
    settings.ENCRYPT = rules
    await write(token, URI, 2)
    with pytest.raises(NotEncrypted) as refused:
        await destroy_content(URI, entry())
    assert refused.value.data["plain_versions"] == 1
    await asyncio.to_thread(keys, "reencrypt", "--here")
    await destroy_content(URI, entry())
    start_over()
    assert code(await ask("resources/read", {"uri": URI, "version": 1}, token)) == "resource_not_found"


async def test_there_is_nothing_to_destroy_where_nothing_is(running: dict[str, User]) -> None:
    with pytest.raises(ResourceNotFound):
        await destroy_content(PLAIN, entry())
    with pytest.raises(CommandError):
        await asyncio.to_thread(keys, "destroy", "--key", "a", "--yes")


async def test_a_change_under_a_key_that_was_just_destroyed_gets_another_one(running: dict[str, User]) -> None:
    """Another node has destroyed it, and this one has not heard of it yet."""
    token = await token_of("alice")
    await write(token, URI, 1)
    await in_database(DataKey.objects.filter(subject=URI).update, wrapped=b"", destroyed_at="2026-01-01T00:00:00Z")
    await write(token, URI, 2)
    start_over()
    assert await read(token, URI) == 2
    assert await in_database(DataKey.objects.filter(subject=URI).count) == 2
