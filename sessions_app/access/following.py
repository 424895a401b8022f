"""Who follows what in this process, so that a follower is cut as soon as it may not follow any more (contract §6)."""

from collections.abc import Iterable

from resources_app.hub.followers import Follower
from resources_app.hub.hub import hub
from resources_app.patterns import Pattern
from sessions_app.access.decisions import may
from sessions_app.access.index import Index
from sessions_app.access.rulebook import rulebook
from sessions_app.access.rules import Rule, Verb, lies_within
from sessions_app.callers import Caller


def may_follow(index: Index, caller: Caller, pattern: Pattern) -> bool:
    """Whether a caller may follow all that a pattern covers: it takes `subscribe` and `read`."""
    return may(index, caller, Verb.READ, pattern) and may(index, caller, Verb.SUBSCRIBE, pattern)


class Followings:
    """The followers of this process with the callers that they are for."""

    def __init__(self) -> None:
        self._callers: dict[Follower, Caller] = {}

    def __len__(self) -> int:
        return len(self._callers)

    def add(self, follower: Follower, caller: Caller) -> None:
        """Keep an eye on a follower until it leaves. That it may follow now is for the caller to check, after this."""
        if not follower.left:
            self._callers[follower] = caller

    def renew(self, followers: Iterable[Follower], caller: Caller) -> None:
        """These followers are for a caller who may have other rights than before."""
        found = [follower for follower in followers if follower in self._callers]
        self._callers.update(dict.fromkeys(found, caller))
        self._check(found)

    def left(self, follower: Follower) -> None:
        """A follower has left the hub."""
        self._callers.pop(follower, None)

    def recheck(self, rule: Rule | None) -> None:
        """A rule has come or gone, or any (None): cut those who may not follow any more."""
        self._check(
            [
                follower
                for follower, caller in self._callers.items()
                if rule is None
                or (rule.principal in caller.principals and _overlap(follower.following.pattern, rule.pattern))
            ]
        )

    def _check(self, followers: list[Follower]) -> None:
        # while no rules are held nobody is let in, and all are checked when they are again
        index = rulebook.index
        if index is None:
            return
        for follower in followers:
            if not may_follow(index, self._callers[follower], follower.following.pattern):
                hub.leave(follower)
                follower.outlet.cut(follower.subscription)


def _overlap(one: Pattern, other: Pattern) -> bool:
    return lies_within(one, other) or lies_within(other, one)


followings = Followings()
rulebook.on_loss(followings.recheck)
hub.on_leave(followings.left)
