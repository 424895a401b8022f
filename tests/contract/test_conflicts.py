"""Changes that are based on an old version, or on one that never was (contract §3)."""

import pytest

from tests.contract.conftest import Client
from tests.stack.refusals import refuses


@pytest.fixture
async def uri(alice: Client, tree: str) -> str:
    """A resource at version 3 whose rule is to reject."""
    for n in range(3):
        await alice.call("resources/write", uri=f"{tree}a", content={"n": n}, on_conflict="reject")
    return f"{tree}a"


async def test_a_change_of_the_present_version_is_taken(alice: Client, uri: str) -> None:
    assert (await alice.call("resources/write", uri=uri, content=1, base_version=3))["version"] == 4


async def test_a_stale_write_is_refused_and_changes_nothing(alice: Client, uri: str) -> None:
    with refuses("version_conflict") as refusal:
        await alice.call("resources/write", uri=uri, content="lost", base_version=2)
    assert refusal["current_version"] == 3
    assert "conflicting_paths" in refusal.error.data
    assert (await alice.call("resources/read", uri=uri))["content"] == {"n": 2}


async def test_a_stale_patch_and_a_stale_deletion_are_refused(alice: Client, uri: str) -> None:
    with refuses("version_conflict"):
        await alice.call("resources/patch", uri=uri, patch={"n": 9}, base_version=1)
    with refuses("version_conflict"):
        await alice.call("resources/delete", uri=uri, base_version=1)
    assert (await alice.call("resources/read", uri=uri))["version"] == 3


async def test_the_rule_of_one_request_overrides_that_of_the_resource(alice: Client, uri: str) -> None:
    written = await alice.call("resources/write", uri=uri, content="won", base_version=1, on_conflict="last_write_wins")
    assert (written["version"], written["content"]) == (4, "won")


async def test_the_last_write_wins_unless_told_otherwise(alice: Client, tree: str) -> None:
    await alice.call("resources/write", uri=f"{tree}a", content=1)
    await alice.call("resources/write", uri=f"{tree}a", content=2)
    assert (await alice.call("resources/write", uri=f"{tree}a", content=3, base_version=1))["version"] == 3


@pytest.mark.parametrize("rule", ["last_write_wins", "reject"])
async def test_a_base_that_never_was_is_refused_by_any_rule(alice: Client, tree: str, rule: str) -> None:
    await alice.call("resources/write", uri=f"{tree}a", content=1, on_conflict=rule)
    with refuses("version_conflict") as refusal:
        await alice.call("resources/write", uri=f"{tree}a", content=2, base_version=2)
    assert refusal["base_unknown"] is True
    assert refusal["current_version"] == 1


async def test_a_base_of_what_does_not_exist_is_refused(alice: Client, tree: str) -> None:
    with refuses("version_conflict"):
        await alice.call("resources/write", uri=f"{tree}a", content=2, base_version=1)
    with refuses("resource_not_found"):
        await alice.call("resources/read", uri=f"{tree}a")
