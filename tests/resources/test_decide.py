"""What a write, a patch or a deletion does to a resource."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from audit_app.errors import Refusal, TooLarge
from resources_app.changes import Change, Content, Delete, Patch
from resources_app.decide import decide
from resources_app.errors import AlreadyExists, PatchFailed, ResourceNotFound
from resources_app.patch import PatchType
from resources_app.state import Kind, OnConflict, ResourceState
from tests.resources.states import AT, URI, state_at, write_of

LATER = AT + timedelta(seconds=1)


def patch_of(patch: Any, patch_type: PatchType = "merge", **fields: Any) -> Patch:
    return Patch(uri=URI, patch=patch, patch_type=patch_type, **fields)


def content(state: ResourceState) -> Any:
    return orjson.loads(state.body)


def test_a_new_resource_begins_at_version_1() -> None:
    state = decide(write_of({"a": 1}), None, AT)
    assert (state.version, state.deleted, state.created_at, state.updated_at) == (1, False, AT, AT)
    assert (state.name, state.mime_type, state.on_conflict) == ("a", "application/json", OnConflict.LAST_WRITE_WINS)
    assert content(state) == {"a": 1}


def test_a_write_adds_1_to_the_version_and_keeps_what_it_does_not_name() -> None:
    before = state_at(4, 1, name="n", title="t", description="d", mime_type="application/x+json")
    after = decide(write_of(2), before, LATER)
    assert after == replace(before, version=5, body=b"2", updated_at=LATER)
    assert decide(write_of(2, title=""), before, LATER).title == ""


def test_a_write_of_the_same_content_is_a_change_too() -> None:
    assert decide(write_of(1), state_at(4, 1), LATER).version == 5


def test_content_of_another_kind_brings_its_own_mime_type_unless_told_otherwise() -> None:
    text = Content(kind=Kind.TEXT, body=b"t", size=1)
    change = replace(write_of(1), content=text)
    assert decide(change, state_at(1, 1), LATER).mime_type == "text/plain"
    assert decide(replace(change, mime_type="text/markdown"), state_at(1, 1), LATER).mime_type == "text/markdown"


def test_what_must_be_new_is_refused_when_it_exists() -> None:
    with pytest.raises(AlreadyExists):
        decide(write_of(1, must_be_new=True), state_at(1), AT)
    assert decide(write_of(1, must_be_new=True), None, AT).version == 1


def test_a_deletion_takes_a_version_and_the_content() -> None:
    after = decide(Delete(uri=URI), state_at(4, {"a": 1}), LATER)
    assert (after.version, after.deleted, after.body, after.size, after.updated_at) == (5, True, b"", 0, LATER)


@pytest.mark.parametrize("change", [Delete(uri=URI), patch_of({"a": 1})])
@pytest.mark.parametrize("before", [None, state_at(3, deleted=True)])
def test_what_does_not_exist_can_be_neither_patched_nor_deleted(change: Change, before: ResourceState | None) -> None:
    with pytest.raises(ResourceNotFound):
        decide(change, before, AT)


@pytest.mark.parametrize("must_be_new", [True, False])
def test_a_uri_created_again_goes_on_from_its_last_version_and_is_otherwise_new(must_be_new: bool) -> None:
    before = state_at(5, deleted=True, title="old", on_conflict=OnConflict.REJECT)
    after = decide(write_of(1, must_be_new=must_be_new), before, LATER)
    assert (after.version, after.deleted, after.created_at) == (6, False, LATER)
    assert (after.title, after.on_conflict) == ("", OnConflict.LAST_WRITE_WINS)


def test_a_patch_changes_content_alone() -> None:
    before = state_at(2, {"a": 1, "b": 2}, title="t")
    after = decide(patch_of({"a": None, "c": 3}), before, LATER)
    assert content(after) == {"b": 2, "c": 3}
    assert replace(after, body=before.body, size=before.size, version=2, updated_at=AT) == before
    assert after.size == len(after.body)


def test_a_patch_that_fails_changes_nothing() -> None:
    before = state_at(2, {"a": 1})
    patch = [{"op": "add", "path": "/b", "value": 2}, {"op": "test", "path": "/a", "value": 2}]
    with pytest.raises(PatchFailed):
        decide(patch_of(patch, "json"), before, LATER)
    assert content(before) == {"a": 1}


def test_only_json_can_be_patched() -> None:
    with pytest.raises(PatchFailed):
        decide(patch_of({"a": 1}), state_at(1, kind=Kind.TEXT, body=b"{}"), AT)


def test_a_patch_cannot_grow_a_resource_above_the_limit(settings: Settings) -> None:
    settings.RESOURCE_MAX_BYTES = 1024
    with pytest.raises(TooLarge):
        decide(patch_of({"b": "b" * 600}), state_at(1, {"a": "a" * 600}), AT)


def test_a_name_that_comes_from_a_long_uri_fits_into_its_column() -> None:
    uri = "resource://example.com/" + "n" * 2000
    assert decide(write_of(1, uri), None, AT).name == "n" * 255


CHANGES = st.sampled_from(
    [
        write_of(1),
        write_of(2, must_be_new=True),
        write_of(3, base_version=2),
        write_of(4, base_version=2, on_conflict=OnConflict.REJECT),
        patch_of(5),
        patch_of([{"op": "test", "path": "", "value": 1}], "json"),
        Delete(uri=URI),
        Delete(uri=URI, base_version=1),
    ]
)


@given(st.lists(CHANGES, max_size=20))
def test_every_accepted_change_adds_exactly_1_and_every_refused_one_nothing(changes: list[Change]) -> None:
    state: ResourceState | None = None
    version = 0
    for change in changes:
        try:
            state = decide(change, state, AT)
        except Refusal:
            continue
        version += 1
        assert state.version == version
