"""An old version is brought back as a new change."""

from dataclasses import replace
from datetime import timedelta

import pytest

from resources_app.changes import Restore
from resources_app.decide import decide
from resources_app.errors import ResourceNotFound, VersionConflict
from resources_app.state import Kind, OnConflict
from tests.resources.states import AT, URI, state_at

LATER = AT + timedelta(seconds=1)
OLD = state_at(2, name="n", title="t", description="d", mime_type="text/markdown", kind=Kind.TEXT, body=b"old", size=3)
BEFORE = state_at(5, {"a": 1}, name="now", on_conflict=OnConflict.REJECT)


def test_content_and_fields_are_what_they_were() -> None:
    after = decide(Restore(uri=URI, version=2), BEFORE, LATER, {2: OLD})
    assert after == replace(OLD, version=6, updated_at=LATER, offset=5)


def test_a_resource_that_was_deleted_is_created_again() -> None:
    gone = replace(BEFORE, deleted=True, body=b"", size=0)
    after = decide(Restore(uri=URI, version=2), gone, LATER, {2: OLD})
    assert after == replace(OLD, version=6, created_at=LATER, updated_at=LATER, offset=5)


def test_the_present_version_can_be_restored_too() -> None:
    after = decide(Restore(uri=URI, version=5), BEFORE, LATER, {5: BEFORE})
    assert after == replace(BEFORE, version=6, updated_at=LATER)


@pytest.mark.parametrize("version", [1, 3, 6])
def test_a_version_that_is_gone_or_never_was_or_was_a_deletion_is_not_found(version: int) -> None:
    versions = {2: OLD, 3: replace(OLD, version=3, deleted=True, body=b"", size=0)}
    for before in (BEFORE, replace(BEFORE, deleted=True)):
        with pytest.raises(ResourceNotFound) as refused:
            decide(Restore(uri=URI, version=version), before, LATER, versions)
        assert refused.value.data == {"uri": URI, "version": version}


def test_nothing_can_be_restored_where_there_never_was_a_resource() -> None:
    with pytest.raises(ResourceNotFound):
        decide(Restore(uri=URI, version=1), None, LATER)


def test_a_stale_base_is_refused_where_the_rule_says_so() -> None:
    with pytest.raises(VersionConflict):
        decide(Restore(uri=URI, version=2, base_version=4), BEFORE, LATER, {2: OLD, 4: replace(BEFORE, version=4)})
    with pytest.raises(VersionConflict):
        decide(Restore(uri=URI, version=2, base_version=5), replace(BEFORE, deleted=True), LATER, {2: OLD})
    rule = OnConflict.LAST_WRITE_WINS
    assert decide(Restore(uri=URI, version=2, base_version=4, on_conflict=rule), BEFORE, LATER, {2: OLD}).body == b"old"
