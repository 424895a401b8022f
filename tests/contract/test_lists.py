"""Lists in pages, and the history of a resource (contract §2)."""

from hashlib import sha256

import pytest
import rfc8785

from tests.contract.conftest import JSON, Client
from tests.stack.refusals import refuses
from tests.stack.waiting import eventually


async def pages(client: Client, method: str, plural: str, **params: object) -> list[list[dict]]:
    """All pages of a list, bounded."""
    found, cursor = [], None
    for _ in range(50):
        answer = await client.call(method, **params, **({"cursor": cursor} if cursor else {}))
        assert answer.result.keys() == {plural, "next_cursor"}
        found.append(answer[plural])
        cursor = answer["next_cursor"]
        if cursor is None:
            return found
    raise AssertionError("the list does not end")


async def test_a_list_holds_what_begins_with_the_prefix_each_once(alice: Client, tree: str) -> None:
    operations = [
        {"method": "resources/write", "params": {"uri": f"{tree}{folder}/{n:02}", "content": n}}
        for folder in ("a", "b", "ab")
        for n in range(7)
    ]
    await alice.call("resources/batch", operations=operations)
    await alice.call("resources/delete", uri=f"{tree}a/03")
    found = await pages(alice, "resources/list", "resources", prefix=f"{tree}a/", limit=4)
    assert [len(page) for page in found] == [4, 2]
    assert [item["uri"] for page in found for item in page] == [f"{tree}a/{n:02}" for n in (0, 1, 2, 4, 5, 6)]
    assert all("content" not in item and item["version"] == 1 for page in found for item in page)


async def test_a_page_that_ends_exactly_has_no_next(alice: Client, tree: str) -> None:
    for n in range(4):
        await alice.call("resources/write", uri=f"{tree}{n}", content=n)
    assert [len(page) for page in await pages(alice, "resources/list", "resources", prefix=tree, limit=4)] == [4]
    assert await pages(alice, "resources/list", "resources", prefix=f"{tree}none", limit=4) == [[]]


@JSON
@pytest.mark.parametrize(
    "params", [{"limit": 0}, {"limit": 100_000}, {"limit": "many"}, {"cursor": "%%%"}, {"cursor": "é"}]
)
async def test_a_page_that_makes_no_sense_is_refused(alice: Client, tree: str, params: dict) -> None:
    with refuses("invalid_params"):
        await alice.call("resources/list", prefix=tree, **params)


async def test_history_tells_every_version_the_newest_first(alice: Client, tree: str) -> None:
    for n in range(5):
        await alice.call("resources/write", uri=f"{tree}a", content=n)
    await alice.call("resources/delete", uri=f"{tree}a")
    await alice.call("resources/write", uri=f"{tree}a", content="again")
    found = [
        item for page in await pages(alice, "resources/history", "versions", uri=f"{tree}a", limit=3) for item in page
    ]
    assert [item["version"] for item in found] == [7, 6, 5, 4, 3, 2, 1]
    assert [item["type"] for item in found] == [
        "created",
        "deleted",
        "updated",
        "updated",
        "updated",
        "updated",
        "created",
    ]
    assert [item["offset"] for item in found] == sorted((item["offset"] for item in found), reverse=True)


async def test_what_never_was_has_no_history(alice: Client, tree: str) -> None:
    with refuses("resource_not_found"):
        await alice.call("resources/history", uri=f"{tree}a")


async def test_the_trail_is_listed_from_either_end_and_below_a_uri(alice: Client, admin: Client, tree: str) -> None:
    for n in range(5):
        await alice.call("resources/write", uri=f"{tree}{n}", content=n)
    wanted = {"resource": f"{tree}*", "action": "resources/write", "limit": 2}

    async def all_there() -> bool:
        return sum(len(page) for page in await pages(admin, "audit/list", "entries", **wanted)) == 5

    await eventually(all_there, 30, "five entries in the trail")
    for order, numbers in (("oldest", range(5)), ("newest", range(4, -1, -1))):
        found = await pages(admin, "audit/list", "entries", order=order, **wanted)
        assert [entry["resource_id"] for page in found for entry in page] == [f"{tree}{n}" for n in numbers]


@JSON
@pytest.mark.parametrize("params", [{"order": "sideways"}, {"since": "yesterday"}, {"queue": "none"}])
async def test_a_filter_of_the_trail_that_makes_no_sense_is_refused(admin: Client, params: dict) -> None:
    with refuses("invalid_params"):
        await admin.call("audit/list", **params)


async def test_a_record_of_the_trail_bears_the_hash_of_what_is_shown(admin: Client, tree: str) -> None:
    """With nothing but RFC 8785 and SHA-256, on the answer as it came."""
    await admin.call("resources/write", uri=f"{tree}a", content=1)

    async def is_there() -> bool:
        return bool((await admin.call("audit/list", resource=f"{tree}a"))["entries"])

    await eventually(is_there, 30, "the entry is in the trail")
    for record in (await admin.call("audit/list", limit=20))["entries"]:
        bare = {name: value for name, value in record.items() if name != "hash"}
        assert sha256(rfc8785.dumps(bare)).hexdigest() == record["hash"]
