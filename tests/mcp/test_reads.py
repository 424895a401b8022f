"""Reading over MCP: what is there, as it is, and as late as the client knows of (design page mcp.md, R3 and R6)."""

import base64
from typing import Any

import orjson

from tests.stack.cluster import Cluster
from tests.stack.mcp_client import Mcp


async def test_contents_come_as_text_or_as_bytes(alice: Mcp, tree: str) -> None:
    blob = base64.b64encode(bytes(range(256))).decode()
    made: dict[str, dict[str, Any]] = {
        "json": {"content": {"a": [1, None, "ü"]}},
        "text": {"text": "a\nb"},
        "bytes": {"blob": blob},
    }
    for name, content in made.items():
        await alice.tool("resource_create", uri=f"{tree}{name}", **content)
    found = {name: (await alice.ask("resources/read", {"uri": f"{tree}{name}"}))["contents"][0] for name in made}
    assert orjson.loads(found["json"]["text"]) == made["json"]["content"]
    assert (found["json"]["mimeType"], found["text"]["mimeType"]) == ("application/json", "text/plain")
    assert (found["text"]["text"], found["bytes"]["blob"]) == ("a\nb", blob)
    assert [one["uri"] for one in found.values()] == [f"{tree}{name}" for name in made]


async def test_a_read_tells_version_and_offset_and_is_not_kept(alice: Mcp, tree: str) -> None:
    uri = f"{tree}a"
    made = (await alice.tool("resource_create", uri=uri, content=1))["structuredContent"]
    result = await alice.ask("resources/read", {"uri": uri})
    assert result["contents"][0]["_meta"] == {"io.erlmcp/version": 1, "io.erlmcp/offset": made["offset"]}
    assert (result["resultType"], result["ttlMs"], result["cacheScope"]) == ("complete", 0, "private")
    changed = (await alice.tool("resource_update", uri=uri, content=2))["structuredContent"]
    again = (await alice.ask("resources/read", {"uri": uri}))["contents"][0]
    assert (again["text"], again["_meta"]["io.erlmcp/offset"]) == ("2", changed["offset"])


async def test_whoever_was_told_of_a_change_reads_it_on_whichever_node(stack: Cluster, alice: Mcp, tree: str) -> None:
    """Also one who has another session, and asks another node."""
    uri = f"{tree}a"
    await alice.tool("resource_create", uri=uri, content=0)
    async with Mcp(stack.nodes[-1].base, stack.login("bob")["access"]) as bob:
        for number in range(1, 21):
            changed = (await alice.tool("resource_update", uri=uri, content=number))["structuredContent"]
            meta = {"io.erlmcp/after": changed["offset"]}
            read = (await bob.ask("resources/read", {"uri": uri}, **meta))["contents"][0]
            assert (read["text"], read["_meta"]["io.erlmcp/version"]) == (str(number), changed["version"])


async def test_a_wish_that_is_none_is_refused(alice: Mcp, tree: str) -> None:
    for meta in ({"io.erlmcp/after": "soon"}, {"io.erlmcp/consistency": "now"}):
        assert (await alice.error("resources/read", {"uri": f"{tree}a"}, **meta))["code"] == -32602


async def test_a_list_goes_on_from_its_cursor(alice: Mcp, tree: str) -> None:
    """The empty cursor is that of the first page; one of nobody's is refused."""
    listed: list[str] = []
    cursor = ""
    for _ in range(1000):
        page = await alice.ask("resources/list", {"cursor": cursor})
        listed += [one["uri"] for one in page["resources"]]
        if (cursor := page.get("nextCursor", "")) == "":
            break
    assert listed == sorted(set(listed)) and listed
    assert (await alice.error("resources/list", {"cursor": "no cursor"}))["code"] == -32602


async def test_a_list_tells_what_there_is_to_know_before_reading(alice: Mcp, tree: str) -> None:
    uri = f"{tree}a"
    await alice.tool("resource_create", uri=uri, text="hello", title="Greeting", description="Says hello.")
    pages = [await alice.ask("resources/list")]
    while "nextCursor" in pages[-1]:
        pages.append(await alice.ask("resources/list", {"cursor": pages[-1]["nextCursor"]}))
    (one,) = [resource for page in pages for resource in page["resources"] if resource["uri"] == uri]
    assert (one["name"], one["title"], one["description"]) == ("a", "Greeting", "Says hello.")
    assert (one["mimeType"], one["size"]) == ("text/plain", 5) and one["annotations"]["lastModified"].endswith("Z")
