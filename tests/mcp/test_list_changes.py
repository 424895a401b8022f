"""Who is told that a list has changed, and how often."""

import asyncio

import pytest

from erlmcp_site.methods import lists as module
from erlmcp_site.methods.lists import Watchers, lists
from erlmcp_site.pipeline.messages import Credentials
from sessions_app.access.rulebook import rulebook
from sessions_app.authentication import authenticate
from tests.mcp.listening_site import A, B, deny
from tests.resources.states import event_of
from tests.stack.waiting import PATIENCE, eventually
from tests.transports.http_server import Site


class Watcher:
    """Keeps when it was told of which list."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.times: list[float] = []

    def list_changed(self, name: str) -> None:
        self.told.append(name)
        self.times.append(asyncio.get_running_loop().time())


async def test_the_first_change_is_told_of_at_once_and_those_after_it_together(monkeypatch: pytest.MonkeyPatch) -> None:
    watchers, watcher = Watchers("tools"), Watcher()
    watchers.members[watcher] = None
    monkeypatch.setattr(module, "REST_SECONDS", 0.2)
    watchers.tell()
    assert watcher.told == ["tools"] and not watchers.is_due
    monkeypatch.setattr(module, "REST_SECONDS", 3600)
    for _ in range(100):
        watchers.tell()
    await eventually(lambda: len(watcher.told) > 1, PATIENCE, "the rest is told of")
    for _ in range(100):
        watchers.tell()
    assert watcher.told == ["tools", "tools"] and watchers.is_due
    assert watcher.times[1] - watcher.times[0] >= 0.15
    watchers.stop()
    assert not watchers.is_due


async def test_everybody_is_told_that_the_tools_have_changed(site: Site) -> None:
    """Which tools there are, everybody sees; a prompt, only who may read it."""
    hidden = [f"resource://erlmcp/{kind}/x" for kind in ("tools", "prompts")]
    for uri in hidden:
        await deny(site, "bob", uri)
    watcher, token = Watcher(), (await site.log_in("bob"))["access"]
    lists.watch(watcher, await authenticate(Credentials(token=token)), ["tools", "prompts"])
    try:
        await rulebook.read()
        lists.follow([event_of(uri, type="updated") for uri in hidden])
        assert watcher.told == ["tools"]
    finally:
        lists.leave(watcher)


async def test_what_happens_while_no_rules_are_held_is_told_of_when_they_are_to_who_may_read_it(site: Site) -> None:
    await deny(site, "bob", B)
    token = (await site.log_in("bob"))["access"]
    watcher = Watcher()
    lists.watch(watcher, await authenticate(Credentials(token=token)), ["resources", "tools"])
    try:
        for uri, told in ((B, []), (A, ["resources"])):
            rulebook.forget()
            lists.follow([event_of(uri, type="created")])
            assert watcher.told == []
            await rulebook.read()
            assert watcher.told == told
    finally:
        lists.leave(watcher)
    lists.follow([event_of(A, type="created")])
    assert (watcher.told, len(lists)) == (["resources"], 0)


async def test_when_changes_were_missed_any_list_may_have_changed(site: Site) -> None:
    token = (await site.log_in("bob"))["access"]
    watcher = Watcher()
    lists.watch(watcher, await authenticate(Credentials(token=token)), ["tools"])
    try:
        lists.follow(None)
        assert watcher.told == ["tools"]
    finally:
        lists.leave(watcher)


@pytest.mark.parametrize(
    ("uri", "kind", "names"),
    [
        (A, "created", {"resources"}),
        (A, "deleted", {"resources"}),
        (A, "updated", set()),
        ("resource://erlmcp/prompts/x", "created", {"resources", "prompts"}),
        ("resource://erlmcp/prompts/x", "updated", {"prompts"}),
        ("resource://erlmcp/tools/x", "updated", {"tools"}),
        ("resource://erlmcp/collections/x", "updated", {"resources"}),
        ("resource://erlmcp/other/x", "updated", set()),
        ("resource://erlmcp.example/tools/x", "updated", set()),
    ],
)
def test_which_lists_a_change_is_one_of(uri: str, kind: str, names: set[str]) -> None:
    found = list(module.lists_of(event_of(uri, type=kind)))
    assert len(found) == len(names) and set(found) == names
