"""Lists that agents hold, and who is told that one of them is not what it was (docs/mcp.md).

Nobody is told of what it may not read: whether a change counts is decided for each set of rights, once for all who have
the same, and they are told together, at most once a second.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

from resources_app.definitions import ROOT
from resources_app.hub.hub import hub
from resources_app.log.events import LoggedEvent
from resources_app.prompts import prompts
from resources_app.templates import collections
from resources_app.tool_overrides import tool_overrides
from sessions_app.access.decisions import UserRights, may
from sessions_app.access.index import Index
from sessions_app.access.rulebook import rulebook
from sessions_app.access.rules import Rule, Verb
from sessions_app.callers import Caller

RESOURCES, PROMPTS, TOOLS = LISTS = ("resources", "prompts", "tools")

LIST_OF: Final = {prompts.prefix: PROMPTS, tool_overrides.prefix: TOOLS, collections.prefix: RESOURCES}
"""Which list any change below a prefix is one of; each resource that comes or goes is one of the list of resources."""

REST_SECONDS = 1.0


class Change(Protocol):
    """What happened to which resource."""

    @property
    def uri(self) -> str: ...
    @property
    def type(self) -> str: ...


class ListWatcher(Protocol):
    """Somebody who wants to be told."""

    def list_changed(self, name: str) -> None:
        """A list may not be what it was. Called in the event loop; must not raise."""


class Watchers:
    """Those who have the same rights and watch the same list."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.members: dict[ListWatcher, None] = {}
        self._rests_until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_due(self) -> bool:
        """Whether they will be told anyway."""
        return self._timer is not None

    def tell(self) -> None:
        """Tell them, now or when they have rested."""
        if self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        if self._rests_until > loop.time():
            self._timer = loop.call_at(self._rests_until, self._tell)
        else:
            self._tell()

    def stop(self) -> None:
        """Nobody is here any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self) -> None:
        self._timer = None
        self._rests_until = asyncio.get_running_loop().time() + REST_SECONDS
        for member in list(self.members):
            member.list_changed(self.name)


class Lists:
    """Who watches which list in this process."""

    def __init__(self) -> None:
        self._watchers: dict[str, dict[UserRights, Watchers]] = {name: {} for name in LISTS}
        self._of: dict[ListWatcher, list[tuple[str, UserRights]]] = {}
        self._unjudged: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._of)

    def watch(self, watcher: ListWatcher, caller: Caller, names: Iterable[str]) -> None:
        """Tell somebody of lists, besides those of before, until it leaves."""
        rights = UserRights(
            principals=caller.principals,
            permissions=caller.permissions,
            is_superuser=caller.is_superuser,
            scopes=caller.scopes,
        )
        for name in names:
            watchers = self._watchers[name].setdefault(rights, Watchers(name))
            if watcher not in watchers.members:
                watchers.members[watcher] = None
                self._of.setdefault(watcher, []).append((name, rights))

    def leave(self, watcher: ListWatcher) -> None:
        """Tell somebody no more. May be called more than once."""
        for name, rights in self._of.pop(watcher, ()):
            watchers = self._watchers[name][rights]
            del watchers.members[watcher]
            if not watchers.members:
                watchers.stop()
                del self._watchers[name][rights]

    def follow(self, events: Sequence[LoggedEvent] | None) -> None:
        """Take in the changes of all resources; None: some were missed, and any list may have changed."""
        if not self._of:
            return
        if events is None:
            for watchers in [one for group in self._watchers.values() for one in group.values()]:
                watchers.tell()
            return
        index = rulebook.index
        for event in events:
            for name in lists_of(event):
                if index is None:
                    self._unjudged.setdefault(event.uri, set()).add(name)
                else:
                    self._judge(index, name, event.uri)

    def recheck(self, rule: Rule | None) -> None:
        """Rules are held again, maybe: what happened meanwhile can be judged."""
        if rulebook.index is not None and self._unjudged:
            unjudged, self._unjudged = self._unjudged, {}
            for uri, names in unjudged.items():
                for name in names:
                    self._judge(rulebook.index, name, uri)

    def _judge(self, index: Index, name: str, uri: str) -> None:
        for rights, watchers in list(self._watchers[name].items()):
            # which tools there are is nobody's secret, whoever may read how an operator wants them
            if not watchers.is_due and (name == TOOLS or may(index, rights, Verb.READ, uri)):
                watchers.tell()


def lists_of(event: Change) -> Iterator[str]:
    """The lists that a change is one of."""
    own = None
    if event.uri.startswith(ROOT):
        own = next((name for prefix, name in LIST_OF.items() if event.uri.startswith(prefix)), None)
        if own is not None:
            yield own
    if event.type != "updated" and own != RESOURCES:
        yield RESOURCES


lists = Lists()
hub.on_changes(lists.follow)
rulebook.on_loss(lists.recheck)
