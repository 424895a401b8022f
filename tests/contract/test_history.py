"""Every version of a resource: read as it was, listed, compared with another (contract §2, §3)."""

import base64

import jsonpatch
import pytest

from tests.contract.conftest import JSON, Client
from tests.contract.test_lists import pages
from tests.stack.cluster import Cluster
from tests.stack.refusals import refuses
from tests.stack.rest import Rest, path_of


@pytest.fixture
async def uri(alice: Client, tree: str) -> str:
    """A resource with versions 1 to 3, deleted by 4, created again by 5 and changed by 6."""
    uri = f"{tree}a"
    await alice.call("resources/create", uri=uri, content={"n": 1, "list": [1, 2, 3]}, title="first")
    await alice.call("resources/patch", uri=uri, patch={"n": 2})
    await alice.call("resources/write", uri=uri, content={"n": 3, "list": [1, 3], "~/": None}, title="third")
    await alice.call("resources/delete", uri=uri)
    await alice.call("resources/write", uri=uri, text="again")
    await alice.call("resources/write", uri=uri, text="and again", description="for the last time")
    return uri


async def test_a_version_reads_as_it_was_answered_when_it_was_made(alice: Client, tree: str) -> None:
    uri = f"{tree}a"
    made = [await alice.call("resources/create", uri=uri, content={"n": 0}, title="a")]
    for n in range(1, 4):
        made.append(await alice.call("resources/patch", uri=uri, patch={"n": n}))
    made.append(await alice.call("resources/write", uri=uri, blob=base64.b64encode(b"\0\xff").decode(), name="b"))
    for answer in [*made, *reversed(made)]:
        read = await alice.call("resources/read", uri=uri, version=answer["version"])
        assert read.result == answer.result


async def test_a_version_that_is_not_there_is_not_found_by_its_number(alice: Client, uri: str, tree: str) -> None:
    assert (await alice.call("resources/read", uri=uri, version=3))["content"]["n"] == 3
    assert (await alice.call("resources/read", uri=uri, version=6))["text"] == "and again"
    for target, version in ((uri, 4), (uri, 7), (uri, 2**62), (f"{tree}none", 1)):
        with refuses("resource_not_found") as refusal:
            await alice.call("resources/read", uri=target, version=version)
        assert (refusal["uri"], refusal["version"]) == (target, version)
        assert "earliest_version" not in refusal.error.data
    await alice.call("resources/delete", uri=uri)
    with refuses("resource_not_found"):
        await alice.call("resources/read", uri=uri, version=7)
    assert (await alice.call("resources/read", uri=uri, version=6))["text"] == "and again"


@JSON
@pytest.mark.parametrize("version", [0, -1, "first", 2**63, 1.5])
async def test_a_version_is_a_whole_number_from_one(alice: Client, uri: str, version: object) -> None:
    with refuses("invalid_params"):
        await alice.call("resources/read", uri=uri, version=version)
    with refuses("invalid_params"):
        await alice.call("resources/diff", uri=uri, **{"from": version})
    with refuses("invalid_params"):
        await alice.call("resources/diff", uri=uri, to=version, **{"from": 1})


async def test_history_tells_of_deletions_and_outlives_the_resource(alice: Client, uri: str) -> None:
    await alice.call("resources/delete", uri=uri)
    (page,) = await pages(alice, "resources/history", "versions", uri=uri)
    assert [(item["version"], item["type"]) for item in page] == [
        (7, "deleted"),
        (6, "updated"),
        (5, "created"),
        (4, "deleted"),
        (3, "updated"),
        (2, "updated"),
        (1, "created"),
    ]
    assert [item["title"] for item in page][-3:] == ["third", "first", "first"]
    assert all("content" not in item and "text" not in item for item in page)


async def test_pages_of_a_history_stay_as_they_are_while_it_grows(alice: Client, uri: str) -> None:
    first = await alice.call("resources/history", uri=uri, limit=2)
    await alice.call("resources/write", uri=uri, text="meanwhile")
    await alice.call("resources/delete", uri=uri)
    second = await alice.call("resources/history", uri=uri, limit=2, cursor=first["next_cursor"])
    third = await alice.call("resources/history", uri=uri, limit=2, cursor=second["next_cursor"])
    found = [item["version"] for page in (first, second, third) for item in page["versions"]]
    assert (found, third["next_cursor"]) == ([6, 5, 4, 3, 2, 1], None)
    with refuses("invalid_params"):
        await alice.call("resources/history", uri=uri, cursor="bm90aGluZw==")


async def test_a_comparison_is_a_patch_from_one_version_to_the_other(alice: Client, uri: str) -> None:
    for first, second in ((1, 2), (1, 3), (3, 1), (2, 2)):
        answer = await alice.call("resources/diff", uri=uri, to=second, **{"from": first})
        before, after = [
            (await alice.call("resources/read", uri=uri, version=version))["content"] for version in (first, second)
        ]
        assert jsonpatch.apply_patch(before, answer["patch"]) == after
        assert (answer["uri"], answer["from"], answer["to"], answer["kind"]) == (uri, first, second, "content")
    one = await alice.call("resources/diff", uri=uri, to=2, **{"from": 1})
    assert one["patch"] == [{"op": "replace", "path": "/n", "value": 2}]
    assert "fields" not in one.result


async def test_a_comparison_goes_to_the_present_and_tells_what_else_differs(alice: Client, uri: str) -> None:
    answer = await alice.call("resources/diff", uri=uri, **{"from": 5})
    assert answer.result == {
        "uri": uri,
        "from": 5,
        "to": 6,
        "kind": "text",
        "patch": [{"op": "replace", "path": "", "value": "and again"}],
        "fields": {"description": ["", "for the last time"]},
    }
    other = await alice.call("resources/diff", uri=uri, to=5, **{"from": 3})
    assert other["patch"] == [{"op": "replace", "path": "", "value": "again"}]
    assert other["fields"] == {
        "title": ["third", ""],
        "mime_type": ["application/json", "text/plain"],
        "kind": ["content", "text"],
    }


async def test_what_cannot_be_read_cannot_be_compared(alice: Client, uri: str, tree: str) -> None:
    for first, second in ((4, 3), (3, 4), (9, 1), (1, 9)):
        with refuses("resource_not_found") as refusal:
            await alice.call("resources/diff", uri=uri, to=second, **{"from": first})
        assert refusal["version"] in {4, 9}
    await alice.call("resources/delete", uri=uri)
    with refuses("resource_not_found") as refusal:
        await alice.call("resources/diff", uri=uri, **{"from": 1})
    assert refusal["version"] == 7
    with refuses("resource_not_found"):
        await alice.call("resources/diff", uri=f"{tree}none", **{"from": 1})


async def test_a_version_written_on_one_node_is_read_on_another_at_once(stack: Cluster, tree: str) -> None:
    async with stack.rest("alice", node=0) as here, stack.rest("bob", node=len(stack.nodes) - 1) as there:
        for n in range(1, 20):
            await here.call("resources/write", uri=f"{tree}a", content=n)
            for consistency in ({}, {"Read-Consistency": "eventual"}, {"Read-Consistency": "strong"}):
                assert (await there.call("resources/read", consistency, uri=f"{tree}a", version=n))["content"] == n


async def test_a_version_has_its_own_tag_and_is_not_sent_to_who_has_it(rest: Rest, tree: str) -> None:
    for n in range(3):
        await rest.call("resources/write", uri=f"{tree}page", text=f"<p>{n}", mime_type="text/html")
    path = path_of(f"{tree}page")
    for query, body in (("?version=2", None), ("?version=2&raw=1", b"<p>1")):
        answer = await rest.request("GET", path + query)
        assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
        assert answer.headers["cache-control"] == "private, no-cache"
        assert body is None or (answer.content, answer.headers["content-type"].split(";")[0]) == (body, "text/html")
        for tag, status in (('"2"', 304), ('"3"', 200)):
            again = await rest.request("GET", path + query, headers={"If-None-Match": tag})
            assert (again.status_code, again.headers["etag"]) == (status, '"2"')
    head = await rest.request("HEAD", f"{path}?version=1")
    assert (head.status_code, head.headers["etag"], head.content) == (200, '"1"', b"")
