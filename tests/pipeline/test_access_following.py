"""Rules of access decide on who follows what, for as long as somebody does."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now

from audit_app.database import in_database
from erlmcp_site.pipeline.messages import Credentials
from resources_app.hub.hub import CONTROL_LOST, hub
from resources_app.log.control import ControlEvent
from sessions_app.access.following import followings
from sessions_app.access.rulebook import rulebook
from sessions_app.authentication import authenticate
from sessions_app.models import AccessRule
from sessions_app.sessions import follow_control
from sessions_app.tasks import drop_expired_rules
from tests.pipeline.callers import HERE, HIDDEN, Callers
from tests.pipeline.calls import ask, body, code
from tests.resources.outlets import Client
from tests.stack.waiting import eventually

pytestmark = pytest.mark.usefixtures("running")


async def test_a_pattern_is_followed_only_where_all_of_it_may_be(callers: Callers) -> None:
    await callers.grant(f"{HERE}/*", "read subscribe")
    assert await callers.code("new", "subscriptions/create", uri=f"{HERE}/*") is None
    assert await callers.code("new", "subscriptions/create", uri="resource://example.com/*") == "resource_not_found"
    deaf = await callers.grant(f"{HERE}/b", "subscribe", "deny")
    assert await callers.code("new", "subscriptions/create", uri=f"{HERE}/*") == "forbidden"
    assert await callers.code("new", "subscriptions/create", uri=f"{HERE}/a") is None
    await callers.revoke(deaf)
    await callers.grant(HIDDEN, "read", "deny")
    assert await callers.code("new", "subscriptions/create", uri=f"{HERE}/*") == "resource_not_found"
    assert await callers.code("new", "subscriptions/create", uri=f"{HERE}/+") == "resource_not_found"


async def test_a_durable_subscription_is_checked_whenever_it_is_used(callers: Callers) -> None:
    rule = await callers.grant(f"{HERE}/*", "read subscribe")
    made = body(await callers.ask("new", "subscriptions/create", uri=f"{HERE}/*", **{"from": "earliest"}))["id"]
    uses: list[tuple[str, dict[str, Any]]] = [("events/poll", {"timeout_ms": 0}), ("events/ack", {"offset": 1})]
    for method, params in uses:
        assert await callers.code("new", method, subscription=made, **params) is None
    await callers.revoke(rule)
    for method, params in uses:
        assert await callers.code("new", method, subscription=made, **params) == "resource_not_found"
    assert await callers.code("new", "subscriptions/get", subscription=made) is None
    assert await callers.code("new", "subscriptions/delete", subscription=made) is None


async def test_a_poll_that_waits_is_ended_by_a_revocation(callers: Callers) -> None:
    rule = await callers.grant(f"{HERE}/*", "read subscribe")
    made = body(await callers.ask("new", "subscriptions/create", uri=f"{HERE}/*"))["id"]
    waiting = asyncio.ensure_future(callers.code("new", "events/poll", subscription=made, timeout_ms=60_000))
    await eventually(lambda: len(followings), 30, "the poll follows")
    await callers.revoke(rule)
    assert await waiting == "resource_not_found"
    assert list(hub.topics) == []


async def follow(callers: Callers, user: str, pattern: str) -> Client:
    client = Client()
    reply = await ask("resources/subscribe", {"uri": pattern}, callers.tokens[user], outlet=client)
    body(reply)
    assert reply.then is not None
    reply.then()
    return client


async def test_a_uri_without_a_path_is_followed_and_has_its_own_rules(callers: Callers) -> None:
    whole, below = "test://station", "test://station/a"
    assert await callers.code("new", "resources/create", uri=whole, content=1) == "resource_not_found"
    await callers.grant(whole, "read write subscribe")
    for uri, told in ((whole, None), (below, "resource_not_found")):
        assert await callers.code("new", "resources/create", uri=uri, content=1) == told
    narrow = await follow(callers, "new", whole)
    assert await callers.code("new", "subscriptions/create", uri="test://station/*") == "resource_not_found"
    body(await callers.ask("alice", "resources/create", uri=below, content=1))
    body(await callers.ask("alice", "resources/write", uri=whole, content=2))
    await eventually(lambda: narrow.frames, 30, "the change is told, and nothing of what lies below")
    assert [uri for frame in narrow.frames for _, uri in frame] == [whole]
    listed = body(await callers.ask("new", "resources/list", prefix="test://"))["resources"]
    assert [one["uri"] for one in listed] == [whole]


async def test_only_followers_that_are_not_covered_any_more_are_cut(callers: Callers) -> None:
    await callers.grant(f"{HERE}/*", "read subscribe")
    narrow, wide, other = [
        await follow(callers, user, pattern)
        for user, pattern in (("new", f"{HERE}/a"), ("new", f"{HERE}/*"), ("bob", f"{HERE}/*"))
    ]
    await callers.grant(HIDDEN, "subscribe", "deny", user="new")
    await eventually(lambda: wide.deletions, 30, "the follower of the pattern is cut")
    assert (narrow.deletions, other.deletions) == ([], [])
    await callers.grant("*", "read", "deny", group="viewer")
    await eventually(lambda: other.deletions, 30, "the follower of the other user is cut")
    body(await callers.ask("alice", "resources/write", uri=f"{HERE}/a", content=2))
    await eventually(lambda: narrow.offsets, 30, "the one that may goes on")
    assert (wide.offsets, other.offsets, narrow.deletions) == ([], [], [])


async def test_a_follower_that_has_left_is_kept_an_eye_on_no_more(callers: Callers) -> None:
    outlet = Client()
    told = body(await ask("resources/subscribe", {"uri": f"{HERE}/*"}, callers.tokens["alice"], outlet=outlet))
    follower = outlet.followers[told["subscription"]]
    watched = len(followings)
    hub.leave(follower)
    followings.add(follower, await authenticate(Credentials(token=callers.tokens["alice"])))
    assert len(followings) == watched - 1


async def test_a_rule_ends_by_itself(callers: Callers) -> None:
    soon = (now() + timedelta(seconds=6)).isoformat()
    granted = await callers.ask(
        "root", "access/grant", user="new", pattern=HERE, verbs=["read", "subscribe"], expires_at=soon
    )
    assert body(granted)["expires_at"]
    client = await follow(callers, "new", HERE)
    await eventually(lambda: client.deletions, 30, "the follower is cut when the rule expires")
    assert await callers.code("new", "resources/read", uri=HERE) == "resource_not_found"
    assert body(await callers.ask("root", "access/list"))["rules"] == []
    past = (now() - timedelta(seconds=1)).isoformat()
    refused = await callers.ask("root", "access/grant", user="new", pattern=HERE, verbs=["read"], expires_at=past)
    assert code(refused) == "invalid_params"
    assert await asyncio.to_thread(drop_expired_rules) == 1


async def test_a_process_that_has_missed_events_reads_the_rules_again(callers: Callers) -> None:
    await callers.grant(HERE, "read subscribe")
    client = await follow(callers, "new", HERE)
    await in_database(AccessRule.objects.all().delete)
    assert await callers.code("new", "resources/read", uri=HERE) is None
    asking = [asyncio.ensure_future(rulebook.read())]
    for _ in range(2):
        follow_control(ControlEvent(kind=CONTROL_LOST, subject=""))
        asking.append(asyncio.ensure_future(rulebook.read()))
    await eventually(lambda: client.deletions, 30, "the follower is cut")
    assert await callers.code("new", "resources/read", uri=HERE) == "resource_not_found"
    assert (await asyncio.gather(*asking))[-1] is rulebook.index
