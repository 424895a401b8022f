"""Creating, reading, changing and deleting a resource (contract §3)."""

import base64

import pytest

from tests.contract.conftest import JSON, Client
from tests.stack.refusals import refuses

FIELDS = {
    *("uri", "name", "title", "description", "mime_type", "version", "on_conflict", "size"),
    *("created_at", "updated_at", "offset"),
}


async def test_a_created_resource_reads_as_it_was_created(alice: Client, tree: str) -> None:
    content = {"temperature": 21.5, "tags": ["a", None, True], "": {"ü": 0}}
    created = await alice.call(
        "resources/create", uri=f"{tree}a", content=content, title="A", description="first", name="one"
    )
    read = await alice.call("resources/read", uri=f"{tree}a")
    assert created.result == read.result
    assert read.result.keys() == {*FIELDS, "content"}
    assert read["content"] == content
    assert (read["uri"], read["version"], read["name"], read["title"]) == (f"{tree}a", 1, "one", "A")
    assert (read["mime_type"], read["on_conflict"]) == ("application/json", "last_write_wins")


async def test_what_exists_is_not_created_again(alice: Client, tree: str) -> None:
    await alice.call("resources/create", uri=f"{tree}a", content=1)
    with refuses("already_exists"):
        await alice.call("resources/create", uri=f"{tree}a", content=2)
    assert (await alice.call("resources/read", uri=f"{tree}a"))["content"] == 1


async def test_a_write_creates_what_is_missing_and_changes_what_is_there(alice: Client, tree: str) -> None:
    versions = [(await alice.call("resources/write", uri=f"{tree}a", content=n))["version"] for n in range(3)]
    assert versions == [1, 2, 3]


async def test_a_write_that_changes_nothing_is_a_change_all_the_same(alice: Client, tree: str) -> None:
    first = await alice.call("resources/write", uri=f"{tree}a", content={"x": 1})
    second = await alice.call("resources/write", uri=f"{tree}a", content={"x": 1})
    assert second["version"] == first["version"] + 1
    assert second["offset"] > first["offset"]


@pytest.mark.parametrize("content", [None, False, 0, "", [], {}, "text", 2**53 - 1, -1.5e300, [[]], {"a": {"b": None}}])
async def test_content_is_any_json_value(alice: Client, tree: str, content: object) -> None:
    await alice.call("resources/write", uri=f"{tree}a", content=content)
    read = await alice.call("resources/read", uri=f"{tree}a")
    assert read["content"] == content and type(read["content"]) is type(content)


async def test_text_and_bytes_are_kept_as_they_are(alice: Client, tree: str) -> None:
    text = "# Überschrift\r\n\ttab and \u0000 and 🌍"
    await alice.call("resources/write", uri=f"{tree}text", text=text, mime_type="text/markdown")
    blob = base64.b64encode(bytes(range(256))).decode()
    await alice.call("resources/write", uri=f"{tree}blob", blob=blob, mime_type="image/png")
    read_text = await alice.call("resources/read", uri=f"{tree}text")
    read_blob = await alice.call("resources/read", uri=f"{tree}blob")
    assert (read_text["text"], read_text["mime_type"]) == (text, "text/markdown")
    assert (read_blob["blob"], read_blob["mime_type"], read_blob["size"]) == (blob, "image/png", 256)
    assert "content" not in read_text.result and "content" not in read_blob.result


@JSON
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"content": 1, "text": "x"},
        {"blob": "not base64!"},
        {"blob": 7},
        {"text": 7},
        {"content": 1, "mime_type": "nonsense"},
        {"content": 1, "mime_type": "text/html\r\nX-Forged: 1"},
        {"content": 1, "on_conflict": "whatever"},
        {"content": 1, "base_version": "one"},
        {"content": 1, "base_version": -1},
        {"content": 1, "title": "x" * 5000},
    ],
)
async def test_a_write_that_cannot_be_understood_changes_nothing(alice: Client, tree: str, fields: dict) -> None:
    with refuses("invalid_params"):
        await alice.call("resources/write", uri=f"{tree}a", **fields)
    with refuses("resource_not_found"):
        await alice.call("resources/read", uri=f"{tree}a")


async def test_a_merge_patch_changes_a_part(alice: Client, tree: str) -> None:
    await alice.call("resources/write", uri=f"{tree}a", content={"a": {"b": 1, "c": 2}, "d": [1, 2]})
    patched = await alice.call("resources/patch", uri=f"{tree}a", patch={"a": {"b": None, "e": 3}, "d": [9]})
    assert patched["content"] == {"a": {"c": 2, "e": 3}, "d": [9]}
    assert patched["version"] == 2


async def test_a_json_patch_is_applied_whole_or_not_at_all(alice: Client, tree: str) -> None:
    await alice.call("resources/write", uri=f"{tree}a", content={"n": 1, "list": [1, 2, 3]})
    good = [{"op": "test", "path": "/n", "value": 1}, {"op": "remove", "path": "/list/0"}]
    patched = await alice.call("resources/patch", uri=f"{tree}a", patch=good, patch_type="json")
    assert patched["content"] == {"n": 1, "list": [2, 3]}
    bad = [{"op": "replace", "path": "/n", "value": 5}, {"op": "test", "path": "/list/0", "value": "no"}]
    with refuses("patch_failed") as refusal:
        await alice.call("resources/patch", uri=f"{tree}a", patch=bad, patch_type="json")
    assert refusal["path"] == "/list/0"
    after = await alice.call("resources/read", uri=f"{tree}a")
    assert (after["content"], after["version"]) == ({"n": 1, "list": [2, 3]}, 2)


async def test_text_cannot_be_patched(alice: Client, tree: str) -> None:
    await alice.call("resources/write", uri=f"{tree}a", text="words")
    with refuses("patch_failed"):
        await alice.call("resources/patch", uri=f"{tree}a", patch={"a": 1})


async def test_what_is_deleted_is_gone_and_its_versions_go_on(alice: Client, tree: str) -> None:
    await alice.call("resources/write", uri=f"{tree}a", content=1)
    deleted = await alice.call("resources/delete", uri=f"{tree}a")
    assert deleted["version"] == 2
    for method in ("resources/read", "resources/delete"):
        with refuses("resource_not_found"):
            await alice.call(method, uri=f"{tree}a")
    with refuses("resource_not_found"):
        await alice.call("resources/patch", uri=f"{tree}a", patch={})
    assert (await alice.call("resources/create", uri=f"{tree}a", content=2))["version"] == 3


async def test_two_spellings_of_a_uri_are_one_resource(alice: Client) -> None:
    await alice.call("resources/write", uri="resource://Spelling.LOCAL/%7euser/ÿ", content=1)
    read = await alice.call("resources/read", uri="resource://spelling.local/~user/%c3%bf")
    assert read["uri"] == "resource://spelling.local/~user/%C3%BF"


async def test_schemes_are_told_apart(alice: Client, tree: str) -> None:
    other = tree.replace("resource://", "test://")
    await alice.call("resources/write", uri=f"{other}a", content="test")
    with refuses("resource_not_found"):
        await alice.call("resources/read", uri=f"{tree}a")
    assert (await alice.call("resources/read", uri=f"{other}a"))["content"] == "test"
