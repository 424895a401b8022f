"""Encrypted resources behave like others, and their content is on no disk (seed §12.1, quality 27)."""

import base64
from typing import Any

import pytest
from django.contrib.auth.models import User

from audit_app.database import in_database
from audit_app.models import IdempotencyKey, OutboxEntry
from encryption_app.envelope import is_sealed
from encryption_app.models import DataKey
from erlmcp_site.pipeline.options import fingerprint
from resources_app.models import Event, Resource
from tests.encryption.conftest import CANARY, OTHER, PLAIN, URI, start_over
from tests.pipeline.calls import ask, body, code, entries_of, token_of
from tests.pipeline.test_search import found, pages


def kept_texts() -> bytes:
    """Everything that the database holds of resources, events, answers and entries."""
    found: list[bytes] = []
    for model in (Resource, Event, IdempotencyKey, OutboxEntry, DataKey):
        for row in model.objects.values_list():
            found += [value if isinstance(value, bytes) else str(value).encode() for value in row]
            found += [bytes(value) for value in row if isinstance(value, memoryview)]
    return b"\n".join(found)


async def write(token: str, content: Any, uri: str = URI, **params: Any) -> Any:
    return body(await ask("resources/write", {"uri": uri, "content": content, **params}, token))


async def read(token: str, uri: str = URI, **params: Any) -> Any:
    return body(await ask("resources/read", {"uri": uri, **params}, token))


async def test_what_is_read_back_is_what_was_written(running: dict[str, User]) -> None:
    token = await token_of("alice")
    for number, content in enumerate([{"a": CANARY}, CANARY, 7, None, [CANARY] * 1000]):
        await write(token, content)
        for consistency in ("strong", "causal", "eventual"):
            found = await read(token, consistency=consistency)
            assert (found["content"], found["version"]) == (content, number + 1)
        start_over()
        assert (await read(token))["content"] == content


@pytest.mark.parametrize(
    ("kind", "value"), [("text", CANARY), ("blob", base64.b64encode(b"\xff\x00" + CANARY.encode()).decode())]
)
async def test_texts_and_blobs_are_encrypted_as_well(running: dict[str, User], kind: str, value: str) -> None:
    token = await token_of("alice")
    body(await ask("resources/write", {"uri": URI, kind: value}, token))
    start_over()
    assert (await read(token))[kind] == value
    assert value.encode() not in await in_database(kept_texts)


async def test_nothing_of_the_content_is_kept(running: dict[str, User]) -> None:
    token = await token_of("alice")
    for content in ({"a": CANARY}, {"a": CANARY, "b": [CANARY]}):
        body(
            await ask(
                "resources/write",
                {"uri": URI, "content": content},
                token,
                metadata={"idempotency-key": f"key-{len(content)}"},
            )
        )
    body(await ask("resources/patch", {"uri": URI, "patch": {"c": CANARY}}, token))
    kept = await in_database(kept_texts)
    assert CANARY.encode() not in kept
    assert URI.encode() in kept
    rows = await in_database(lambda: list(Event.objects.order_by("offset")))
    assert [is_sealed(bytes(row.body)) for row in rows] == [True] * 3
    assert await in_database(IdempotencyKey.objects.count) == 2


async def test_what_no_rule_names_is_kept_as_it_is(running: dict[str, User]) -> None:
    token = await token_of("alice")
    await write(token, {"a": CANARY}, PLAIN)
    assert CANARY.encode() in await in_database(kept_texts)
    assert await in_database(DataKey.objects.count) == 0


async def test_a_change_has_one_entry_whose_details_are_encrypted(running: dict[str, User]) -> None:
    token = await token_of("alice")
    reply = await ask("resources/write", {"uri": URI, "content": 1}, token)
    (entry,) = await entries_of(reply)
    assert entry["details"].keys() == {"sealed"}
    start_over()
    reply = await ask("resources/patch", {"uri": URI, "patch": {"a": 1}}, token)
    (entry,) = await entries_of(reply)
    assert (entry["outcome"], entry["resource_id"]) == ("success", URI)


async def test_versions_can_be_read_compared_and_restored(running: dict[str, User]) -> None:
    token = await token_of("alice")
    for number in (1, 2, 3):
        await write(token, {"n": number})
    start_over()
    assert (await read(token, version=2))["content"] == {"n": 2}
    start_over()
    difference = body(await ask("resources/diff", {"uri": URI, "from": 1, "to": 3}, token))
    assert difference["patch"] == [{"op": "replace", "path": "/n", "value": 3}]
    start_over()
    assert body(await ask("resources/restore", {"uri": URI, "version": 1}, token))["content"] == {"n": 1}
    history = body(await ask("resources/history", {"uri": URI}, token))
    assert [version["version"] for version in history["versions"]] == [4, 3, 2, 1]


async def test_changes_of_old_versions_are_merged(running: dict[str, User]) -> None:
    token = await token_of("alice")
    await write(token, {"a": 1, "b": 1}, on_conflict="merge")
    await write(token, {"a": 2, "b": 1})
    start_over()
    merged = await write(token, {"a": 1, "b": 2}, base_version=1)
    assert merged["content"] == {"a": 2, "b": 2}
    start_over()
    assert (await read(token))["content"] == {"a": 2, "b": 2}


async def test_a_batch_may_mix_what_is_encrypted_with_what_is_not(running: dict[str, User]) -> None:
    token = await token_of("alice")
    operations = [
        {"method": "resources/write", "params": {"uri": uri, "content": {"of": uri}}} for uri in (URI, PLAIN, OTHER)
    ]
    body(await ask("resources/batch", {"operations": operations}, token))
    start_over()
    for uri in (URI, PLAIN, OTHER):
        assert (await read(token, uri))["content"] == {"of": uri}
    bodies = dict(await in_database(lambda: list(Resource.objects.values_list("uri", "body"))))
    assert {uri: is_sealed(bytes(kept)) for uri, kept in bodies.items()} == {URI: True, PLAIN: False, OTHER: True}


async def test_a_repeat_under_an_idempotency_key_is_answered_as_the_first_time(running: dict[str, User]) -> None:
    token = await token_of("alice")
    call = ("resources/write", {"uri": URI, "content": {"a": CANARY}}, token)
    first = await ask(*call, metadata={"idempotency-key": "once"})
    start_over()
    again = await ask(*call, metadata={"idempotency-key": "once"})
    assert (again.replayed, body(again)) == (True, body(first))


async def test_a_deleted_resource_has_no_content_to_encrypt(running: dict[str, User]) -> None:
    token = await token_of("alice")
    await write(token, 1)
    body(await ask("resources/delete", {"uri": URI}, token))
    start_over()
    assert code(await ask("resources/read", {"uri": URI}, token)) == "resource_not_found"
    await write(token, 2)
    start_over()
    assert (await read(token))["content"] == 2


async def test_what_was_encrypted_stays_readable_when_its_rule_goes(running: dict[str, User], settings: Any) -> None:
    token = await token_of("alice")
    await write(token, {"a": 1})
    settings.ENCRYPT = ()
    start_over()
    assert (await read(token))["content"] == {"a": 1}
    start_over()
    patched = body(await ask("resources/patch", {"uri": URI, "patch": {"b": 2}}, token))
    assert patched["content"] == {"a": 1, "b": 2}
    assert len(await entries_of(await ask("resources/patch", {"uri": URI, "patch": {"c": 3}}, token))) == 1


async def test_each_resource_has_a_data_key_of_its_own(running: dict[str, User]) -> None:
    token = await token_of("alice")
    for uri in (URI, OTHER, URI):
        await write(token, 1, uri)
    keys = await in_database(lambda: list(DataKey.objects.order_by("subject")))
    assert [key.subject for key in keys] == [URI, OTHER]


def test_what_is_kept_of_a_call_does_not_tell_a_good_guess_of_its_content(settings: Any) -> None:
    call = ("resources/write", {"uri": URI, "content": {"salary": 5000}})
    kept = fingerprint(*call)
    assert kept == fingerprint(*call)
    settings.SECRET_KEY = "the intruder does not have it"
    assert kept != fingerprint(*call)


async def test_a_search_finds_what_is_encrypted_by_all_but_its_content(running: dict[str, User]) -> None:
    """Also while the key is held: to open what it looks through would take a call of the provider for each."""
    token = await token_of("alice")
    await write(token, {"a": CANARY}, title="Kept")
    await write(token, {"a": CANARY}, PLAIN)
    for sought in ({"text": CANARY}, {"path": "$.a"}, {"path": "$.a", "value": CANARY}):
        assert await found(token, **sought) == [PLAIN]
    (one,) = [one for page in await pages(token, text="kept") for one in page["resources"]]
    assert (one["uri"], one["matches"]) == (URI, {"fields": ["title"], "paths": []})
