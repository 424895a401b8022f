"""A change of an old version is applied, merged or refused, by the rule of its resource or by its own (seed §10.2)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
from pytest_django import Settings

from audit_app.errors import TooLarge
from resources_app.changes import Change, Content, Delete, Patch, Restore
from resources_app.decide import decide, rule_of_conflict
from resources_app.errors import PatchFailed, VersionConflict
from resources_app.state import Kind, OnConflict, ResourceState
from tests.resources.states import AT, URI, state_at, write_of

MERGE, REJECT = OnConflict.MERGE, OnConflict.REJECT
LATER = AT + timedelta(seconds=1)

RULES = list(OnConflict)


def patch(**fields: Any) -> Patch:
    return Patch(uri=URI, patch={"b": 2}, **fields)


def write(**fields: Any) -> Change:
    return write_of({"b": 2}, **fields)


def delete(**fields: Any) -> Delete:
    return Delete(uri=URI, **fields)


EVERY_CHANGE = pytest.mark.parametrize("change", [write, patch, delete])


@EVERY_CHANGE
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("base", [None, 5])
def test_no_base_or_the_present_one_is_always_applied(change: Any, rule: OnConflict, base: int | None) -> None:
    assert decide(change(base_version=base), state_at(5, {"a": 1}, on_conflict=rule), AT).version == 6


@EVERY_CHANGE
@pytest.mark.parametrize("base", [0, 1, 4])
def test_the_last_write_wins_over_a_stale_base(change: Any, base: int) -> None:
    assert decide(change(base_version=base), state_at(5, {"a": 1}), AT).version == 6


def history(*contents: Any, **fields: Any) -> tuple[ResourceState, dict[int, ResourceState]]:
    """A resource whose contents were these, from version 1 on: the present state, and all by version."""
    states = {n: state_at(n, content, **fields) for n, content in enumerate(contents, 1)}
    return states[len(contents)], states


def conflict(change: Change, before: ResourceState, versions: dict[int, ResourceState]) -> dict[str, Any]:
    """What the refusal of a change says."""
    with pytest.raises(VersionConflict) as refused:
        decide(change, before, LATER, versions)
    return refused.value.data


def content(state: ResourceState) -> Any:
    return orjson.loads(state.body)


@EVERY_CHANGE
def test_a_resource_that_rejects_refuses_a_stale_base(change: Any) -> None:
    before, versions = history({"a": 0}, {"a": 1}, on_conflict=REJECT)
    data = conflict(change(base_version=1), before, versions)
    assert (data["current_version"], data["resolution"]) == (2, "reject")
    assert "conflicting_paths" in data
    assert "base_unknown" not in data


@pytest.mark.parametrize(
    "change, paths",
    [
        (write_of({"n": 5, "other": 0}), ["/n"]),
        (write_of({"n": 1, "other": 0}), []),
        (write_of({"n": 0, "other": 5}), []),
        (patch(), []),
        (Patch(uri=URI, patch={"n": 5, "b": 1}), ["/n"]),
        (Patch(uri=URI, patch=[{"op": "test", "path": "/n", "value": 1}], patch_type="json"), [""]),
        (Delete(uri=URI), [""]),
    ],
)
def test_a_refusal_names_the_places_that_both_changed(change: Change, paths: list[str]) -> None:
    before, versions = history({"n": 0, "other": 0}, {"n": 1, "other": 0}, on_conflict=REJECT)
    assert conflict(replace(change, base_version=1), before, versions)["conflicting_paths"] == paths


def test_a_merge_keeps_what_both_sides_changed() -> None:
    before, versions = history({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 3, "b": 1}, on_conflict=MERGE)
    after = decide(write_of({"a": 1, "b": 9}, base_version=1), before, LATER, versions)
    assert content(after) == {"a": 3, "b": 9}
    assert (after.version, after.size, after.updated_at, after.created_at) == (4, len(after.body), LATER, AT)


def test_a_merge_refuses_the_places_that_both_changed_differently() -> None:
    before, versions = history({"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 2, "c": 2}, on_conflict=MERGE)
    data = conflict(write_of({"a": 3, "b": 2, "c": 4}, base_version=1), before, versions)
    assert data == {
        "uri": URI,
        "current_version": 2,
        "conflicting_paths": ["/a", "/c"],
        "resolution": "reject",
    }


@pytest.mark.parametrize(
    "patch_type, document", [("merge", {"b": 9}), ("json", [{"op": "add", "path": "/b", "value": 9}])]
)
def test_a_stale_patch_is_applied_to_its_base_and_merged(patch_type: Any, document: Any) -> None:
    before, versions = history({"a": [1]}, {"a": [1, 2]}, on_conflict=MERGE)
    change = Patch(uri=URI, patch=document, patch_type=patch_type, base_version=1)
    assert content(decide(change, before, LATER, versions)) == {"a": [1, 2], "b": 9}


def test_a_patch_that_does_not_fit_its_base_has_failed() -> None:
    before, versions = history({"a": 1}, {"a": 2}, on_conflict=MERGE)
    change = Patch(uri=URI, patch=[{"op": "test", "path": "/a", "value": 2}], patch_type="json", base_version=1)
    with pytest.raises(PatchFailed):
        decide(change, before, LATER, versions)


def test_fields_are_merged_one_by_one() -> None:
    _, versions = history({"a": 1}, {"a": 1}, title="t", description="d", on_conflict=MERGE)
    before = replace(versions[2], title="theirs", name="n")
    change = write_of({"a": 2}, base_version=1, description="mine", title="t")
    after = decide(change, before, LATER, versions)
    assert (after.title, after.description, after.name, content(after)) == ("theirs", "mine", "n", {"a": 2})


def test_fields_that_both_changed_differently_conflict_beside_the_content() -> None:
    _, versions = history({"a": 1}, {"a": 2}, title="t", name="n", on_conflict=MERGE)
    before = replace(versions[2], title="theirs", name="same")
    data = conflict(write_of({"a": 1}, base_version=1, title="mine", name="same"), before, versions)
    assert (data["conflicting_fields"], data["conflicting_paths"]) == (["title"], [])
    data = conflict(write_of({"a": 3}, base_version=1, title="mine", mime_type="a/b"), before, versions)
    assert (data["conflicting_fields"], data["conflicting_paths"]) == (["title"], ["/a"])


def text(value: str, kind: Kind = Kind.TEXT) -> dict[str, Any]:
    return {"kind": kind, "body": value.encode(), "size": len(value), "mime_type": "text/plain"}


@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.BLOB])
def test_content_that_is_not_json_is_equal_or_conflicts(kind: Kind) -> None:
    base = state_at(1, on_conflict=MERGE, **text("base", kind))
    theirs = state_at(2, on_conflict=MERGE, **text("more", kind))
    versions = {1: base, 2: theirs}

    def written(value: str) -> Change:
        return replace(write_of(None, base_version=1), content=Content(kind=kind, body=value.encode(), size=4))

    assert decide(written("base"), theirs, LATER, versions).body == b"more"
    assert decide(written("more"), theirs, LATER, versions).body == b"more"
    assert conflict(written("mine"), theirs, versions)["conflicting_paths"] == [""]
    untouched = replace(base, version=2, title="t")
    assert decide(written("mine"), untouched, LATER, versions).body == b"mine"


def test_content_of_another_kind_is_a_change_of_the_whole() -> None:
    base, theirs = state_at(1, {"a": 1, "b": 2}, on_conflict=MERGE), state_at(2, {"a": 2, "b": 2}, on_conflict=MERGE)
    change = replace(write_of(None, base_version=1), content=Content(kind=Kind.TEXT, body=b"t", size=1))
    assert conflict(change, theirs, {1: base})["conflicting_paths"] == [""]
    reordered = replace(theirs, body=b'{"b":2,"a":1}', title="t")
    after = decide(change, reordered, LATER, {1: base})
    assert (after.kind, after.body, after.mime_type, after.title) == (Kind.TEXT, b"t", "text/plain", "t")


def test_a_deletion_conflicts_with_any_change() -> None:
    before, versions = history({"a": 1}, {"a": 1}, {"a": 2}, on_conflict=MERGE)
    assert conflict(Delete(uri=URI, base_version=1), before, versions)["conflicting_paths"] == [""]
    titled = replace(versions[2], title="t")
    assert conflict(Delete(uri=URI, base_version=1), titled, versions)["conflicting_paths"] == [""]
    after = decide(Delete(uri=URI, base_version=1), versions[2], LATER, versions)
    assert (after.deleted, after.version) == (True, 3)


@EVERY_CHANGE
@pytest.mark.parametrize("rule", [MERGE, REJECT])
@pytest.mark.parametrize("base", [0, 1, 2])
def test_a_base_that_nobody_knows_any_more_is_refused(change: Any, rule: OnConflict, base: int) -> None:
    versions = {2: state_at(2, deleted=True, body=b"")}
    data = conflict(change(base_version=base), state_at(5, {"a": 1}, on_conflict=rule), versions)
    assert (data["base_unknown"], data["conflicting_paths"], data["current_version"]) == (True, [""], 5)


def test_nothing_is_merged_over_a_deletion() -> None:
    base = state_at(1, {"a": 1, "b": 1}, on_conflict=MERGE)
    again = replace(base, version=4, created_at=LATER)
    data = conflict(patch(base_version=1), again, {1: base})
    assert data["conflicting_paths"] == [""]
    assert "base_unknown" not in data
    at_once = replace(base, version=4)
    data = conflict(patch(base_version=1), at_once, {1: base, 2: state_at(2, deleted=True, body=b"")})
    assert data["conflicting_paths"] == [""]


def test_a_merge_cannot_grow_a_resource_above_the_limit(settings: Settings) -> None:
    settings.RESOURCE_MAX_BYTES = 1024
    before, versions = history({}, {"a": "a" * 600}, on_conflict=MERGE)
    with pytest.raises(TooLarge):
        decide(write_of({"b": "b" * 600}, base_version=1), before, LATER, versions)


def test_a_restore_of_an_old_version_is_merged_too() -> None:
    before, versions = history({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 2, "b": 2}, on_conflict=MERGE)
    after = decide(Restore(uri=URI, version=1, base_version=2), before, LATER, versions)
    assert content(after) == {"a": 1, "b": 2}
    assert conflict(Restore(uri=URI, version=3, base_version=1), replace(before, body=b'{"a":5,"b":5}'), versions)[
        "conflicting_paths"
    ] == ["/a", "/b"]


@pytest.mark.parametrize("rule", RULES)
def test_only_a_change_of_an_old_version_is_a_conflict(rule: OnConflict) -> None:
    before = state_at(5, on_conflict=rule)
    assert rule_of_conflict(write(base_version=4), before) is rule
    assert rule_of_conflict(write(base_version=4, on_conflict=REJECT), before) is REJECT
    assert rule_of_conflict(write(base_version=5), before) is None
    assert rule_of_conflict(write(), before) is None
    assert rule_of_conflict(write(base_version=4), replace(before, deleted=True)) is None
    assert rule_of_conflict(write(base_version=4), None) is None


@EVERY_CHANGE
@pytest.mark.parametrize("rule", RULES)
def test_a_base_later_than_the_present_version_is_always_refused(change: Any, rule: OnConflict) -> None:
    with pytest.raises(VersionConflict) as refused:
        decide(change(base_version=6, on_conflict=rule), state_at(5, {"a": 1}), AT)
    assert refused.value.data["base_unknown"] is True


@pytest.mark.parametrize("rule", RULES)
def test_a_base_of_a_uri_never_used_is_refused(rule: OnConflict) -> None:
    with pytest.raises(VersionConflict) as refused:
        decide(write(base_version=1, on_conflict=rule), None, AT)
    assert refused.value.data["current_version"] is None
    assert refused.value.data["base_unknown"] is True


@pytest.mark.parametrize("base", [4, 5])
def test_a_deleted_resource_is_not_written_on_the_base_of_what_it_was(base: int) -> None:
    with pytest.raises(VersionConflict) as refused:
        decide(write(base_version=base), state_at(5, deleted=True), AT)
    assert refused.value.data["current_version"] == 5


@EVERY_CHANGE
def test_a_change_may_be_stricter_or_laxer_than_its_resource(change: Any) -> None:
    with pytest.raises(VersionConflict):
        decide(change(base_version=4, on_conflict=OnConflict.REJECT), state_at(5, {"a": 1}), AT)
    strict = state_at(5, {"a": 1}, on_conflict=OnConflict.REJECT)
    assert decide(change(base_version=4, on_conflict=OnConflict.LAST_WRITE_WINS), strict, AT).version == 6


def test_a_rule_without_a_base_is_kept_and_one_with_a_base_is_for_that_change_only() -> None:
    before = state_at(5, {"a": 1})
    assert decide(write(on_conflict=OnConflict.REJECT), before, AT).on_conflict is OnConflict.REJECT
    assert decide(write(on_conflict=OnConflict.REJECT, base_version=5), before, AT).on_conflict is before.on_conflict
    assert decide(write(on_conflict=OnConflict.REJECT), None, AT).on_conflict is OnConflict.REJECT
    assert decide(patch(on_conflict=OnConflict.REJECT), before, AT).on_conflict is before.on_conflict
