"""Long poll: a follower that lives for one answer (contract §4)."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from audit_app.errors import Unavailable
from erlmcp_site.methods.subscriptions import SUBSCRIBE, find, watch
from erlmcp_site.methods.table import Method, register
from erlmcp_site.pipeline.passage import Passage
from resources_app import serializers
from resources_app.errors import Reset
from resources_app.hub.catch_up import catch_up
from resources_app.hub.followers import Follower, Form
from resources_app.hub.hub import hub
from resources_app.log.events import LoggedEvent
from resources_app.subscriptions import SubscriptionNotFound
from sessions_app.connected import connected
from sessions_app.errors import Unauthenticated
from sessions_app.limits import MethodClass

MAX_POLL_SECONDS = 90.0
"""A poll ends by its own `timeout_ms`, of at most a minute."""


def joined(events: Sequence[LoggedEvent], texts: Sequence[str]) -> str:
    """Events as the inside of a JSON array."""
    return ",".join(texts)


class Answer:
    """An outlet that takes one delivery and gives it to whoever waits."""

    transport = "poll"
    form: Form = staticmethod(joined)

    def __init__(self) -> None:
        self.followers: dict[str, Follower] = {}
        self.delivered: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()

    async def deliver(self, subscription: str, payload: Any, last: int) -> None:
        if not self.delivered.done():
            self.delivered.set_result((payload, last))

    async def bookmark(self, subscription: str, offset: int) -> None:
        pass

    async def reset(self, subscription: str, earliest: int, head: int) -> None:
        if not self.delivered.done():
            self.delivered.set_exception(Reset(earliest=earliest, head=head))

    def deleted(self, subscription: str) -> None:
        if not self.delivered.done():
            self.delivered.set_exception(SubscriptionNotFound())

    def cut(self, subscription: str) -> None:
        if not self.delivered.done():
            self.delivered.set_exception(SubscriptionNotFound())

    def slow(self) -> None:
        if not self.delivered.done():
            self.delivered.set_exception(Unavailable())


async def poll(passage: Passage) -> Any:
    if passage.caller is None:
        raise Unauthenticated()
    with connected.during(passage.caller.user_id):
        return await _next_events(passage)


async def _next_events(passage: Passage) -> Any:
    params = passage.params
    subscription = await find(passage)
    following = replace(subscription.following(params.get("after")), batch_size=params["limit"], throttle_ms=0)
    outlet = Answer()
    follower = await hub.follow(following, outlet)
    try:
        await watch(passage, follower)
        kept = await catch_up(follower, hub.replays, Counter(), once=True)
        if kept is not None:
            raise Reset(earliest=kept.earliest, head=kept.head)
        hub.begin(follower)
        # not wait_for: between its timeout and our turn a delivery would count as made, and be lost
        await asyncio.wait([outlet.delivered], timeout=params["timeout_ms"] / 1000)
        if not outlet.delivered.done():
            return {"events": [], "offset": hub.passed(follower)}
        payload, last = outlet.delivered.result()
        # a caller whose token or rights went meanwhile is not answered
        await watch(passage, follower)
    finally:
        hub.leave(follower)
    passage.offset = passage.position = last
    return {"events": orjson.Fragment(f"[{payload}]"), "offset": last}


register(
    Method(
        name="events/poll",
        run=poll,
        params=serializers.PollParams(),
        needs=SUBSCRIBE,
        reads=True,
        resource_type="subscription",
        resource="subscription",
        seconds=MAX_POLL_SECONDS,
        rate_class=MethodClass.STREAMS,
    )
)
