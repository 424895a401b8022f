"""What listening clients are told, and of what they are not (design page mcp.md, R4)."""

from typing import Any

import pytest

from audit_app.database import in_database
from audit_app.models import OutboxEntry
from erlmcp_site.transports.streams import streams
from tests.mcp.listening_site import A, B, C, agent, deny, gone_all, told_apart
from tests.stack.mcp_listening import SUBSCRIPTION, NotListening, listen
from tests.transports.http_server import Site


@pytest.mark.parametrize("id", [7, "seven", ""])
async def test_a_listener_is_told_what_is_honoured_and_then_of_each_change(site: Site, id: int | str) -> None:
    await site.write("host/a", 1)
    async with agent(site, "bob") as bob, listen(bob, [A], id=id) as stream:
        assert await stream.acknowledged() == {"resourceSubscriptions": [A]}
        written = await site.write("host/a", 2)
        await stream.told_of(A, written["offset"])
        assert [message["params"]["_meta"][SUBSCRIPTION] for message in stream.said] == [id, id]
        assert stream.notifications == [
            {
                "jsonrpc": "2.0",
                "method": "notifications/resources/updated",
                "params": {
                    "uri": A,
                    "_meta": {
                        "io.erlmcp/version": written["version"],
                        "io.erlmcp/offset": written["offset"],
                        SUBSCRIPTION: id,
                    },
                },
            }
        ]
        assert stream.headers["content-type"] == "text/event-stream"
        assert stream.headers["cache-control"] == "no-cache, no-transform"
        assert stream.headers["x-accel-buffering"] == "no"
        assert stream.headers["x-content-type-options"] == "nosniff"


async def test_only_what_may_be_followed_and_is_there_is_honoured(site: Site) -> None:
    for path in ("host/a", "host/b", "host/c"):
        await site.write(path, 1)
    await site.ask("DELETE", "resources/host/c")
    await deny(site, "bob", B)
    asked = [A, B, C, "resource://host/never", "resource://host/*", "nothing", "RESOURCE://HOST/a"]
    async with agent(site, "bob") as bob, listen(bob, asked, unheardOf=True, toolsListChanged=False) as stream:
        assert await stream.acknowledged() == {"resourceSubscriptions": [A, "RESOURCE://HOST/a"]}
        for path in ("host/b", "host/c", "host/never"):
            await site.write(path, 2)
        await told_apart(stream, site, "host/a")
        assert stream.updates == [A] and stream.lists == []


async def test_a_resource_is_told_of_as_the_client_writes_it(site: Site) -> None:
    await site.write("host/a", 1)
    async with agent(site) as alice, listen(alice, ["Resource://Host/%61"]) as stream:
        assert await stream.acknowledged() == {"resourceSubscriptions": ["Resource://Host/%61"]}
        written = await site.write("host/a", 2)
        await stream.told_of("Resource://Host/%61", written["offset"])


async def test_a_resource_that_goes_and_comes_again_is_told_of(site: Site) -> None:
    await site.write("host/a", 1)
    async with agent(site) as alice, listen(alice, [A]) as stream:
        await stream.acknowledged()
        gone = (await site.ask("DELETE", "resources/host/a")).json()
        await stream.told_of(A, gone["offset"])
        back = await site.write("host/a", 2)
        await stream.told_of(A, back["offset"])


async def test_lists_are_told_of_to_who_asked_and_may_read_what_changed(site: Site) -> None:
    await deny(site, "bob", B)
    mark = "resource://host/mark"
    await site.write("host/mark", 1)
    async with (
        agent(site, "alice") as alice,
        agent(site, "bob") as bob,
        listen(alice, resourcesListChanged=True) as all_of_it,
        listen(bob, [mark], resourcesListChanged=True) as some,
        listen(bob, [mark], promptsListChanged=True, toolsListChanged=True) as others,
    ):
        assert await all_of_it.acknowledged() == {"resourcesListChanged": True}
        assert await some.acknowledged() == {"resourceSubscriptions": [mark], "resourcesListChanged": True}
        await others.acknowledged()
        await site.write("host/b", 1)
        await all_of_it.told_of_list("resources")
        await told_apart(some, site, "host/mark")
        assert some.lists == [], "it may not read what came"
        await site.write("host/c", 1)
        await some.told_of_list("resources")
        await site.ask("DELETE", "resources/host/c")
        await some.told_of_list("resources", 2)
        await told_apart(others, site, "host/mark")
        assert others.lists == []


@pytest.mark.parametrize("name", ["prompts", "tools"])
async def test_what_agents_list_is_told_of_when_what_it_is_made_of_changes(site: Site, name: str) -> None:
    async with agent(site, "bob") as bob, listen(bob, **{f"{name}ListChanged": True}) as stream:
        await stream.acknowledged()
        await site.write(f"erlmcp/{name}/x", {"title": "X"})
        await stream.told_of_list(name)
        await site.write(f"erlmcp/{name}/x", {"title": "Y"})
        await stream.told_of_list(name, 2)
        await site.ask("DELETE", f"resources/erlmcp/{name}/x")
        await stream.told_of_list(name, 3)
        assert set(stream.lists) == {name}


async def test_many_changes_of_a_list_are_told_of_together(site: Site) -> None:
    async with agent(site) as alice, listen(alice, ["resource://host/50"], resourcesListChanged=True) as stream:
        await stream.acknowledged()
        for n in range(50):
            await site.write(f"host/{n}", n)
        await stream.told_of_list("resources", 2)
        assert len(stream.lists) < 50


async def test_what_was_asked_for_is_on_record_whether_honoured_or_not(site: Site) -> None:
    await site.write("host/a", 1)
    async with agent(site, "bob") as bob, listen(bob, [A, B], toolsListChanged=True) as stream:
        await stream.acknowledged()
        found = OutboxEntry.objects.filter(entry__contains='"action":"events/listen"')
        entries = [entry.entry for entry in await in_database(lambda: list(found))]
        assert len(entries) == 1
        for part in (
            f'"uris":["{A}"]',
            f'"left_out":["{B}"]',
            '"lists":["tools"]',
            '"transport":"mcp"',
            '"user":"bob"',
        ):
            assert part in entries[0], entries[0]


@pytest.mark.parametrize(
    "filter", [None, 7, {"resourceSubscriptions": "no"}, {"toolsListChanged": "maybe"}, {"resourceSubscriptions": [7]}]
)
async def test_a_filter_that_is_none_is_refused(site: Site, filter: Any) -> None:
    async with agent(site) as alice:
        error = await alice.error("subscriptions/listen", {"notifications": filter} if filter is not None else {})
        assert error["code"] == -32602
    assert not len(streams)


async def test_one_listener_or_one_resource_too_many_is_refused(site: Site, settings: Any) -> None:
    settings.MCP_LISTENS_PER_USER, settings.MCP_LISTEN_MAX_URIS = 2, 2
    for path in ("host/a", "host/b", "host/c"):
        await site.write(path, 1)
    async with agent(site) as alice, agent(site, "bob") as bob:
        with pytest.raises(NotListening) as many:
            async with listen(alice, [A, B, C]):
                pass
        assert (many.value.error["code"], many.value.error["data"]["policy"]) == (-32029, "subscriptions")
        async with listen(alice, [A, B]) as first, listen(alice, [A]) as second:
            await first.acknowledged()
            await second.acknowledged()
            with pytest.raises(NotListening) as more:
                async with listen(alice, [A]):
                    pass
            error = more.value.error
            assert (error["code"], error["data"]["policy"], error["data"]["limit"]) == (-32029, "listens", 2)
            assert "MCP" in error["message"]
            async with listen(bob, [A]) as others:
                await others.acknowledged()
        await gone_all()
        async with listen(alice, [A]) as again:
            await again.acknowledged()
