"""Changes of an old version, or of one that never was: the same over every transport (contract §3, seed §10.2)."""

from typing import Any

import pytest

from tests.contract.conftest import JSON, Client
from tests.contract.test_batches import operation
from tests.stack.cluster import Cluster
from tests.stack.refusals import refuses
from tests.stack.rest import Rest, path_of
from tests.stack.sockets import Socket

BEFORE = {"a": 2, "b": 1}
"""What the resources of these tests hold at version 2; `a` was 1 at version 1."""

DISJOINT: dict[str, dict[str, Any]] = {
    "write": {"content": {"a": 1, "b": 9}},
    "patch": {"patch": {"b": 9}},
    "patch json": {"patch": [{"op": "replace", "path": "/b", "value": 9}], "patch_type": "json"},
}
COLLIDING: dict[str, dict[str, Any]] = {
    "write": {"content": {"a": 5, "b": 1}},
    "patch": {"patch": {"a": 5}},
    "delete": {},
}


async def stale(client: Client, uri: str, rule: str, change: str, params: dict[str, Any]) -> Any:
    """Make a change of version 1 to a resource at version 2 with a rule of its own."""
    await client.call("resources/create", uri=uri, content={"a": 1, "b": 1}, on_conflict=rule)
    await client.call("resources/write", uri=uri, content=BEFORE)
    return await client.call(f"resources/{change.split()[0]}", uri=uri, base_version=1, **params)


def told_of(stack: Cluster, uri: str) -> dict[str, Any]:
    """What the audit entry of the last change of a resource says beside who, where and when."""
    reads = {"resources/read", "resources/history"}
    changes = [entry for entry in stack.truth.entries(uri) if entry["action"] not in reads]
    entry = max(changes, key=lambda entry: str(entry["id"]))
    return {name: entry[name] or None for name in ("action", "outcome", "code", "details")}


@pytest.mark.parametrize("change", DISJOINT)
@pytest.mark.parametrize("rule", ["last_write_wins", "merge"])
async def test_a_stale_change_is_applied_or_merged_and_says_so_everywhere(
    alice: Client, socket: Socket, tree: str, stack: Cluster, rule: str, change: str
) -> None:
    uri = f"{tree}a"
    followed = await socket.subscribe(f"{tree}*")
    answer = await stale(alice, uri, rule, change, DISJOINT[change])
    content = DISJOINT["write"]["content"] if (rule, change) == ("last_write_wins", "write") else {"a": 2, "b": 9}
    assert (answer["version"], answer["content"], answer["resolution"]) == (3, content, rule)
    assert (await alice.call("resources/read", uri=uri)).result == {
        name: value for name, value in answer.result.items() if name != "resolution"
    }
    versions = (await alice.call("resources/history", uri=uri))["versions"]
    assert [version.get("resolution") for version in versions] == [rule, None, None]
    await followed.count(3)
    assert followed.events[2]["resolution"] == rule
    assert followed.events[2]["data"] == answer.result
    assert all("resolution" not in event and "resolution" not in event["data"] for event in followed.events[:2])
    assert told_of(stack, uri) == {
        "action": f"resources/{change.split()[0]}",
        "outcome": "success",
        "code": None,
        "details": {"change": "updated", "version": 3, "resolution": rule},
    }


@pytest.mark.parametrize("change", COLLIDING)
@pytest.mark.parametrize("rule", ["merge", "reject"])
async def test_a_stale_change_that_collides_is_refused_and_names_the_places(
    alice: Client, tree: str, stack: Cluster, rule: str, change: str
) -> None:
    uri = f"{tree}a"
    with refuses("version_conflict") as refusal:
        await stale(alice, uri, rule, change, COLLIDING[change])
    told = {
        "uri": uri,
        "current_version": 2,
        "conflicting_paths": [""] if change == "delete" else ["/a"],
        "resolution": "reject",
    }
    assert told.items() <= dict(refusal.error.data).items()
    assert "base_unknown" not in refusal.error.data
    read = await alice.call("resources/read", uri=uri)
    assert (read["version"], read["content"]) == (2, BEFORE)
    assert told_of(stack, uri) == {
        "action": f"resources/{change}",
        "outcome": "refused",
        "code": "version_conflict",
        "details": told,
    }


@pytest.mark.parametrize("change", DISJOINT)
async def test_reject_refuses_what_would_not_collide_too(alice: Client, tree: str, change: str) -> None:
    with refuses("version_conflict") as refusal:
        await stale(alice, f"{tree}a", "reject", change, DISJOINT[change])
    assert (refusal["current_version"], refusal["conflicting_paths"]) == (2, [])


async def test_a_stale_deletion_is_applied_where_the_last_write_wins(alice: Client, tree: str) -> None:
    deleted = await stale(alice, f"{tree}a", "last_write_wins", "delete", {})
    assert deleted.result.keys() == {"uri", "version", "offset", "resolution"}
    assert (deleted["version"], deleted["resolution"]) == (3, "last_write_wins")


async def test_a_change_of_the_present_version_is_no_conflict(alice: Client, tree: str) -> None:
    await alice.call("resources/write", uri=f"{tree}a", content=1, on_conflict="reject")
    answer = await alice.call("resources/write", uri=f"{tree}a", content=2, base_version=1)
    assert answer["version"] == 2
    assert "resolution" not in answer.result


async def test_the_rule_of_one_request_overrides_that_of_the_resource(alice: Client, tree: str) -> None:
    answer = await stale(alice, f"{tree}a", "reject", "write", {"content": "won", "on_conflict": "last_write_wins"})
    assert (answer["version"], answer["content"], answer["on_conflict"]) == (3, "won", "reject")
    answer = await stale(alice, f"{tree}b", "reject", "patch", {"patch": {"b": 9}, "on_conflict": "merge"})
    assert (answer["content"], answer["resolution"]) == ({"a": 2, "b": 9}, "merge")
    with refuses("version_conflict"):
        await stale(alice, f"{tree}c", "last_write_wins", "delete", {"on_conflict": "reject"})


async def test_the_same_change_on_both_sides_is_no_collision(alice: Client, tree: str) -> None:
    answer = await stale(alice, f"{tree}a", "merge", "write", {"content": {"a": 2, "b": 1, "c": 3}})
    assert answer["content"] == {"a": 2, "b": 1, "c": 3}


async def test_titles_are_merged_like_content(alice: Client, tree: str) -> None:
    uri = f"{tree}a"
    await alice.call("resources/create", uri=uri, content={"a": 1}, title="first", on_conflict="merge")
    await alice.call("resources/write", uri=uri, content={"a": 1}, title="second", description="d")
    answer = await alice.call("resources/write", uri=uri, content={"a": 2}, name="n", base_version=1)
    assert (answer["title"], answer["description"], answer["name"]) == ("second", "d", "n")
    with refuses("version_conflict") as refusal:
        await alice.call("resources/write", uri=uri, content={"a": 1}, title="third", base_version=1)
    assert (refusal["conflicting_fields"], refusal["conflicting_paths"]) == (["title"], [])


async def test_text_is_equal_or_collides(alice: Client, tree: str) -> None:
    uri = f"{tree}a"
    await alice.call("resources/create", uri=uri, text="one", on_conflict="merge")
    await alice.call("resources/write", uri=uri, text="two")
    assert (await alice.call("resources/write", uri=uri, text="two", base_version=1))["version"] == 3
    with refuses("version_conflict") as refusal:
        await alice.call("resources/write", uri=uri, text="three", base_version=1)
    assert refusal["conflicting_paths"] == [""]


async def test_the_operations_of_a_batch_say_how_they_were_settled(alice: Client, tree: str, stack: Cluster) -> None:
    uri = f"{tree}a"
    await alice.call("resources/create", uri=uri, content={"a": 1, "b": 1}, on_conflict="merge")
    await alice.call("resources/write", uri=uri, content=BEFORE)
    operations = [
        operation("patch", uri=uri, patch={"b": 9}, base_version=1),
        operation("write", uri=f"{tree}b", content=0),
        operation("patch", uri=uri, patch={"c": 1}, base_version=2),
        operation("restore", uri=uri, version=1),
    ]
    answer = await alice.call("resources/batch", operations=operations)
    assert [result.get("resolution") for result in answer["results"]] == ["merge", None, "merge", None]
    operations[3] = operation("write", uri=uri, content={"a": 1, "b": 7}, base_version=1)
    with refuses("version_conflict") as refusal:
        await alice.call("resources/batch", operations=operations)
    assert (refusal["operation"], refusal["resolution"]) == (3, "reject")


@pytest.mark.parametrize("rule", ["merge", "reject"])
async def test_a_base_that_nobody_knows_is_refused(alice: Client, tree: str, rule: str) -> None:
    uri = f"{tree}a"
    await alice.call("resources/write", uri=uri, content=1)
    await alice.call("resources/delete", uri=uri)
    await alice.call("resources/write", uri=uri, content=1, on_conflict=rule)
    for base in (0, 2):
        with refuses("version_conflict") as refusal:
            await alice.call("resources/write", uri=uri, content=2, base_version=base)
        assert (refusal["base_unknown"], refusal["conflicting_paths"]) == (True, [""])
    with refuses("version_conflict") as refusal:
        await alice.call("resources/write", uri=uri, content=2, base_version=1)
    assert refusal["conflicting_paths"] == [""]


@pytest.mark.parametrize("rule", ["last_write_wins", "merge", "reject"])
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


async def test_a_version_in_if_match_is_a_base_and_its_failure_a_412(rest: Rest, tree: str) -> None:
    uri = f"{tree}a"
    for n in (1, 2):
        await rest.call("resources/write", uri=uri, content={"a": n, "b": 1}, on_conflict="merge")
    body = {"content": {"a": 1, "b": 9}}
    merged = await rest.request("PUT", path_of(uri), json=body, headers={"If-Match": '"1"'})
    assert (merged.status_code, merged.headers["etag"], merged.json()["resolution"]) == (200, '"3"', "merge")
    body = {"content": {"a": 5, "b": 1}}
    refused = await rest.request("PUT", path_of(uri), json=body, headers={"If-Match": '"1"'})
    assert (refused.status_code, refused.json()["conflicting_paths"]) == (412, ["/a"])
    refused = await rest.request("PUT", path_of(uri), json=body | {"base_version": 1})
    assert (refused.status_code, refused.json()["resolution"]) == (409, "reject")


async def test_an_old_version_is_restored_as_a_new_change(alice: Client, socket: Socket, tree: str) -> None:
    uri = f"{tree}a"
    followed = await socket.subscribe(f"{tree}*")
    await alice.call("resources/write", uri=uri, content={"n": 1}, title="one")
    await alice.call("resources/write", uri=uri, text="two", title="two")
    restored = await alice.call("resources/restore", uri=uri, version=1)
    assert (restored["version"], restored["content"], restored["title"]) == (3, {"n": 1}, "one")
    await alice.call("resources/delete", uri=uri)
    again = await alice.call("resources/restore", uri=uri, version=2)
    assert (again["version"], again["text"], again["title"]) == (5, "two", "two")
    await followed.count(5)
    assert [event["type"].rsplit(".")[-1] for event in followed.events] == [
        *("created", "updated", "updated", "deleted", "created")
    ]
    assert (await alice.call("resources/read", uri=uri)).result == again.result


@JSON
async def test_a_version_that_is_not_there_cannot_be_restored(alice: Client, bob: Client, tree: str) -> None:
    uri = f"{tree}a"
    with refuses("resource_not_found"):
        await alice.call("resources/restore", uri=uri, version=1)
    await alice.call("resources/write", uri=uri, content=1)
    await alice.call("resources/delete", uri=uri)
    for version in (2, 3):
        with refuses("resource_not_found") as refusal:
            await alice.call("resources/restore", uri=uri, version=version)
        assert refusal["version"] == version
    for nonsense in (0, "x", ""):
        with refuses("invalid_params"):
            await alice.call("resources/restore", uri=uri, version=nonsense)
    with refuses("forbidden"):
        await bob.call("resources/restore", uri=uri, version=1)


async def test_a_restore_may_be_based_on_a_version(alice: Client, tree: str) -> None:
    answer = await stale(alice, f"{tree}a", "merge", "restore", {"version": 1})
    assert (answer["content"], answer["resolution"]) == (BEFORE, "merge")
    with refuses("version_conflict"):
        await stale(alice, f"{tree}b", "reject", "restore", {"version": 1})
    await alice.call("resources/restore", uri=f"{tree}b", version=1, base_version=2)
    assert (await alice.call("resources/read", uri=f"{tree}b"))["content"] == {"a": 1, "b": 1}
