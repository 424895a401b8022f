"""Every version that is kept reads as it was; two of them make a patch from one to the other."""

import base64
import random
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from audit_app.writer import Writer
from audit_app.writer import writer as process_writer
from resources_app.changes import Content, Write
from resources_app.errors import ResourceNotFound
from resources_app.log.head import CHANGES
from resources_app.log.retention import trim
from resources_app.patch import apply_patch
from resources_app.state import Kind, ResourceState
from resources_app.store import ChangeResources
from resources_app.versions import compare_versions, list_versions, read_version
from tests.resources.commands import delete, entry, patch, write
from tests.resources.states import URI

OTHER = "resource://example.com/b"


@pytest.fixture(autouse=True)
def trimming_process(heads: None) -> Iterator[None]:
    """Trimming goes through the writer of the process."""
    yield
    process_writer.close()


def write_as(kind: Kind, body: bytes, **fields: Any) -> ChangeResources:
    content = Content(kind=kind, body=body, size=len(body))
    return ChangeResources(changes=[Write(uri=URI, content=content, **fields)], entry=entry())


def value_of(state: ResourceState) -> Any:
    return orjson.loads(state.body) if state.kind is Kind.JSON else state.body.decode()


def refused(version: int, uri: str = URI) -> dict[str, Any]:
    """What a read of a version is refused with."""
    with pytest.raises(ResourceNotFound) as refusal:
        read_version(uri, version)
    data = refusal.value.data
    assert (data.pop("uri"), data.pop("version")) == (uri, version)
    return data


def live(writer: Writer, dice: random.Random) -> dict[int, ResourceState]:
    """Let a resource live through 60 changes, with another one beside it. Returns what it was, by version."""
    lives: dict[int, ResourceState] = {}
    for number in range(60):
        present = lives.get(number)
        changes = [
            write({"n": number, "list": dice.sample(range(9), 4)}, title=f"number {number}"),
            write_as(Kind.TEXT, f"text {number}".encode()),
            write_as(Kind.BLOB, base64.b64encode(dice.randbytes(9)), description="bytes"),
        ]
        if present is not None and not present.deleted:
            changes.append(delete())
            if present.kind is Kind.JSON:
                changes += [patch({"n": -number}), patch({"more": {"deep": [number]}})]
        (event,) = writer.run(dice.choice(changes))
        lives[event.version] = event.after
        writer.run(write(number, OTHER))
    return lives


@pytest.mark.parametrize("is_trimmed", [False, True])
def test_every_kept_version_reads_as_it_was_and_no_other_is_there(
    writer: Writer, dice: random.Random, is_trimmed: bool
) -> None:
    lives = live(writer, dice)
    earliest = 1
    if is_trimmed:
        trim(CHANGES, lives[31].offset)
        earliest = 31
    readable = [version for version, state in lives.items() if version >= earliest and not state.deleted]
    for version, state in lives.items():
        if version in readable:
            assert read_version(URI, version) == state
        elif version < earliest:
            assert refused(version) == {"earliest_version": readable[0]}
        else:
            assert refused(version) == {}
    assert refused(61) == refused(10**9) == {}
    assert refused(1, "resource://example.com/never") == {}


def test_two_versions_make_a_patch_from_one_to_the_other(writer: Writer, dice: random.Random) -> None:
    lives = {version: state for version, state in live(writer, dice).items() if not state.deleted}
    for _ in range(100):
        before, after = dice.choice(list(lives.values())), dice.choice(list(lives.values()))
        found = compare_versions(URI, before.version, after.version).as_json()
        assert apply_patch(value_of(before), found["patch"], "json") == value_of(after)
        assert (found["from"], found["to"], found["kind"]) == (before.version, after.version, after.kind.value)
        for name in ("title", "description", "mime_type", "kind"):
            told = found.get("fields", {}).get(name, ["same", "same"])
            assert (told[0] != told[1]) == (getattr(before, name) != getattr(after, name))
        if before is after:
            assert "fields" not in found and found["patch"] == []


def test_a_comparison_goes_up_to_the_present_unless_told_otherwise(writer: Writer) -> None:
    for number in range(3):
        writer.run(write({"a": number}))
    assert compare_versions(URI, 1, None).as_json() == {
        "uri": URI,
        "from": 1,
        "to": 3,
        "kind": "content",
        "patch": [{"op": "replace", "path": "/a", "value": 2}],
    }
    writer.run(delete())
    for first, second in ((1, None), (1, 4), (4, 1), (5, 1), (1, 5)):
        with pytest.raises(ResourceNotFound):
            compare_versions(URI, first, second)


def test_the_present_version_is_read_and_listed_when_its_event_is_gone(writer: Writer) -> None:
    writer.run(write(1))
    (event,) = writer.run(write(2))
    trim(CHANGES, event.offset + 1)
    assert read_version(URI, 2) == event.after
    assert refused(1) == {"earliest_version": 2}
    (listed,) = list_versions(URI, None, 10)
    assert (listed.type, listed.version, listed.offset) == ("updated", 2, 2)
    assert list_versions(URI, listed.offset, 10) == []


def test_of_a_deleted_resource_with_nothing_kept_nothing_is_told(writer: Writer) -> None:
    writer.run(write(1))
    (event,) = writer.run(delete())
    trim(CHANGES, event.offset)
    assert [one.type for one in list_versions(URI, None, 10)] == ["deleted"]
    assert (refused(1), refused(2)) == ({"earliest_version": None}, {})
    trim(CHANGES, event.offset + 1)
    with pytest.raises(ResourceNotFound):
        list_versions(URI, None, 10)


def test_a_list_of_versions_does_not_load_what_they_hold(writer: Writer) -> None:
    for number in range(3):
        writer.run(write("x" * 1000 * number))
    found = list_versions(URI, None, 2)
    assert [(event.version, event.after.size, event.after.body) for event in found] == [(3, 2002, b""), (2, 1002, b"")]
    assert [event.version for event in list_versions(URI, found[-1].offset, 2)] == [1]
