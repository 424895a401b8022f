"""A change that is based on an old version is applied or refused by the rule of its resource, or by its own."""

from typing import Any

import pytest

from resources_app.changes import Change, Delete, Patch
from resources_app.decide import decide
from resources_app.errors import VersionConflict
from resources_app.state import OnConflict
from tests.resources.states import AT, URI, state_at, write_of

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


@EVERY_CHANGE
def test_a_resource_that_rejects_refuses_a_stale_base(change: Any) -> None:
    with pytest.raises(VersionConflict) as refused:
        decide(change(base_version=4), state_at(5, {"a": 1}, on_conflict=OnConflict.REJECT), AT)
    assert refused.value.data["current_version"] == 5
    assert "conflicting_paths" in refused.value.data
    assert "base_unknown" not in refused.value.data


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
