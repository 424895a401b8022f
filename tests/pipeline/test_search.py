"""Searching what a caller may read, in pages of bounded work."""

from typing import Any

import pytest

from erlmcp_site.methods import search
from tests.pipeline.callers import HERE, HIDDEN, Callers
from tests.pipeline.calls import ask, body, code, token_of

pytestmark = pytest.mark.usefixtures("running")

SHOP = "resource://shop.example/"


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page does not end early because the machine is busy."""
    monkeypatch.setattr(search, "MAX_SECONDS", 600.0)


async def fill(token: str, *numbers: int, prefix: str = SHOP, **params: Any) -> None:
    operations = [
        {
            "method": "resources/write",
            "params": {"uri": f"{prefix}{n:03}", "content": {"n": n, "even": n % 2 == 0}, "title": f"Part {n}"}
            | params,
        }
        for n in numbers
    ]
    body(await ask("resources/batch", {"operations": operations}, token))


async def pages(token: str, **params: Any) -> list[dict[str, Any]]:
    """All pages of a search, bounded."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    for _ in range(50):
        page = body(await ask("resources/search", params | cursor, token))
        found.append(page)
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}
    raise AssertionError("the search does not end")


async def found(token: str, **params: Any) -> list[str]:
    return [one["uri"] for page in await pages(token, **params) for one in page["resources"]]


async def test_what_is_found_says_where_and_not_what_it_holds() -> None:
    alice = await token_of("alice")
    await fill(alice, 1, 2, 3)
    (page,) = await pages(alice, prefix=SHOP, text="part", path="$.even", value=True)
    (one,) = page["resources"]
    assert (one["uri"], one["version"], one["title"]) == (f"{SHOP}002", 1, "Part 2")
    assert one["matches"] == {"fields": ["title"], "paths": ["$['even']"]}
    assert not one.keys() & {"content", "text", "blob"}
    (page,) = await pages(alice, prefix=SHOP)
    assert len(page["resources"]) == 3 and not any("matches" in one for one in page["resources"])


async def test_pages_hold_everything_once_in_order() -> None:
    alice = await token_of("alice")
    await fill(alice, *range(40))
    await fill(alice, *range(5), prefix="resource://other.example/")
    all_pages = await pages(alice, path="$.even", value=False, prefix=SHOP, limit=7)
    assert [len(page["resources"]) for page in all_pages][:2] == [7, 7]
    assert await found(alice, path="$.even", value=False, prefix=SHOP, limit=7) == [
        f"{SHOP}{n:03}" for n in range(1, 40, 2)
    ]
    assert await found(alice, path="$.n", value=3) == ["resource://other.example/003", f"{SHOP}003"]
    body(await ask("resources/delete", {"uri": f"{SHOP}003"}, alice))
    assert await found(alice, path="$.n", value=3) == ["resource://other.example/003"]


async def test_a_page_that_ends_exactly_has_no_next() -> None:
    alice = await token_of("alice")
    await fill(alice, *range(4))
    (page,) = await pages(alice, prefix=SHOP, text="part", limit=4)
    assert len(page["resources"]) == 4


async def test_a_page_is_bounded_work_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    alice = await token_of("alice")
    await fill(alice, *range(60), content={"n": 1, "fill": "x" * 1000})
    monkeypatch.setattr(search, "GROUP_BYTES", 4000)
    monkeypatch.setattr(search, "MAX_BYTES", 10_000)
    told = await pages(alice, path="$.n", value=1, prefix=SHOP)
    assert len(told) > 4 and all(page["resources"] for page in told)
    assert [one["uri"] for page in told for one in page["resources"]] == [f"{SHOP}{n:03}" for n in range(60)]
    assert not any(page["resources"] for page in await pages(alice, path="$.n", value=2, prefix=SHOP))


async def test_a_page_ends_when_its_time_is_over_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    alice = await token_of("alice")
    await fill(alice, *range(6))
    monkeypatch.setattr(search, "MAX_SECONDS", -1.0)
    told = await pages(alice, text="part", prefix=SHOP)
    assert [[one["uri"] for one in page["resources"]] for page in told] == [[f"{SHOP}{n:03}"] for n in range(6)]


async def test_nobody_finds_what_may_not_be_read(callers: Callers) -> None:
    await callers.grant(f"{HERE}/*", "read")
    await callers.grant(HIDDEN, "read", effect="deny")
    for sought in ({"text": "here"}, {"path": "$", "value": 1}, {}):
        assert await found(callers.tokens["new"], **sought) == [f"{HERE}/a", f"{HERE}/b"]
        assert await found(callers.tokens["bob"], prefix=HERE, **sought) == [
            HERE,
            *(f"{HERE}/{name}" for name in ("a", "b", "hidden")),
        ]


@pytest.mark.parametrize(
    "params",
    [
        {"value": 1},
        {"path": "n"},
        {"path": "$.n", "cursor": "nonsense"},
        {"text": ""},
        {"text": "x" * 2000},
        {"path": "$[?match(@, 'a')]"},
        {"limit": 0},
    ],
)
async def test_a_search_that_makes_no_sense_is_refused(params: dict[str, Any]) -> None:
    assert code(await ask("resources/search", params, await token_of("alice"))) == "invalid_params"
