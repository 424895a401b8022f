"""Rules of access, granted and revoked by methods, decide on what other methods do."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils.timezone import now

from audit_app.database import in_database
from erlmcp_site.pipeline.messages import Credentials, Reply
from resources_app.hub.hub import CONTROL_LOST, hub
from resources_app.log.control import ControlEvent
from sessions_app.access.following import followings
from sessions_app.access.rulebook import rulebook
from sessions_app.authentication import authenticate
from sessions_app.models import AccessRule
from sessions_app.sessions import follow_control
from sessions_app.tasks import drop_expired_rules
from tests.pipeline.calls import ask, body, code, entries_of, token_of
from tests.resources.outlets import Client
from tests.stack.waiting import eventually

pytestmark = pytest.mark.usefixtures("running")

HERE = "resource://example.com/here"
HIDDEN = f"{HERE}/hidden"


class Callers:
    """Tokens of everybody, and a short way to grant by root."""

    def __init__(self, tokens: dict[str, str]) -> None:
        self.tokens = tokens

    async def ask(self, user: str, method: str, /, **params: Any) -> Reply:
        return await ask(method, params, self.tokens[user])

    async def code(self, user: str, method: str, /, **params: Any) -> str | None:
        return code(await self.ask(user, method, **params))

    async def grant(self, pattern: str, verbs: str, effect: str = "allow", by: str = "root", **whom: Any) -> str:
        """Grant to `new`, or to whom it says. Returns the rule's id."""
        params = {"pattern": pattern, "verbs": verbs.split(), "effect": effect} | (whom or {"user": "new"})
        return str(body(await self.ask(by, "access/grant", **params))["id"])

    async def revoke(self, rule: str, by: str = "root") -> None:
        body(await self.ask(by, "access/revoke", rule=rule))


@pytest.fixture
async def callers() -> Callers:
    made = Callers({name: await token_of(name) for name in ("root", "alice", "bob", "new")})
    for uri in (HERE, HIDDEN, f"{HERE}/a", f"{HERE}/b"):
        body(await made.ask("alice", "resources/write", uri=uri, content=1))
    return made


async def test_a_grant_lets_somebody_in_and_a_revocation_out_again(callers: Callers) -> None:
    assert await callers.code("new", "resources/read", uri=HERE) == "resource_not_found"
    rule = await callers.grant(f"{HERE}/*", "read write")
    assert await callers.code("new", "resources/read", uri=f"{HERE}/a") is None
    assert await callers.code("new", "resources/write", uri=f"{HERE}/a", content=2) is None
    assert await callers.code("new", "resources/delete", uri=f"{HERE}/a") == "forbidden"
    assert await callers.code("new", "resources/read", uri=HERE) == "resource_not_found"
    await callers.revoke(rule)
    assert await callers.code("new", "resources/read", uri=f"{HERE}/a") == "resource_not_found"
    assert await callers.code("root", "access/revoke", rule=rule) == "resource_not_found"


async def test_whoever_may_write_and_not_read_is_told_of_nothing(callers: Callers) -> None:
    await callers.grant(f"{HERE}/*", "write delete subscribe")
    for uri in (HIDDEN, f"{HERE}/none"):
        for method, params in {"write": {"content": 1}, "delete": {}, "create": {"content": 1}}.items():
            assert await callers.code("new", f"resources/{method}", uri=uri, **params) == "resource_not_found"
        assert await callers.code("new", "subscriptions/create", uri=uri) == "resource_not_found"


async def test_a_denial_for_everyone_holds_for_roles_and_not_for_superusers(callers: Callers) -> None:
    await callers.grant(HIDDEN, "read", "deny", everyone=True)
    for user in ("alice", "bob"):
        hidden = await callers.ask(user, "resources/read", uri=HIDDEN)
        never = await callers.ask(user, "resources/read", uri=f"{HERE}/never")
        assert hidden.refusal is not None and never.refusal is not None
        assert (hidden.refusal.code, hidden.refusal.message) == (never.refusal.code, never.refusal.message)
        assert hidden.refusal.data.keys() == never.refusal.data.keys() == {"uri"}
    assert await callers.code("root", "resources/read", uri=HIDDEN) is None


async def test_a_batch_is_decided_operation_by_operation(callers: Callers) -> None:
    await callers.grant(f"{HERE}/*", "read write")
    await callers.grant(f"{HERE}/b", "write", "deny")
    write, delete = "resources/write", "resources/delete"
    for method, uri, told in (
        (write, f"{HERE}/b", "forbidden"),
        (delete, f"{HERE}/a", "forbidden"),
        (write, HERE, "resource_not_found"),
        (write, "nowhere", "invalid_uri"),
        (write, 7, "invalid_uri"),
    ):
        operations = [(write, f"{HERE}/a"), (method, uri)]
        reply = await callers.ask(
            "new",
            "resources/batch",
            operations=[
                {"method": method, "params": {"uri": uri} | ({"content": 9} if method == write else {})}
                for method, uri in operations
            ],
        )
        assert code(reply) == told
        assert reply.refusal is not None and reply.refusal.data["operation"] == 1
    assert body(await callers.ask("new", "resources/read", uri=f"{HERE}/a"))["version"] == 1


async def test_lists_show_and_count_what_may_be_read(callers: Callers) -> None:
    uris = [f"{HERE}/many/{number:03}" for number in range(30)]
    for uri in uris:
        body(await callers.ask("alice", "resources/write", uri=uri, content=1))
    await callers.grant(f"{HERE}/many/+", "read")
    await callers.grant(f"{HERE}/a", "read")
    for uri in uris[::2]:
        await callers.grant(uri, "read", "deny")
    found: list[str] = []
    sizes, cursor = [], None
    while True:
        params = {"limit": 5} | ({"cursor": cursor} if cursor else {})
        listed = body(await callers.ask("new", "resources/list", **params))
        found += [one["uri"] for one in listed["resources"]]
        sizes.append(len(listed["resources"]))
        cursor = listed["next_cursor"]
        if cursor is None:
            break
    assert found == [f"{HERE}/a", *uris[1::2]]
    assert sizes == [5, 5, 5, 1]
    below = body(await callers.ask("new", "resources/list", prefix=f"{HERE}/many/01"))
    assert [one["uri"] for one in below["resources"]] == uris[11:20:2]
    assert body(await callers.ask("new", "resources/list", prefix=f"{HERE}/hid"))["resources"] == []


async def test_a_page_that_ends_among_hidden_resources_names_none(
    callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("erlmcp_site.methods.listing.MAX_HIDDEN", 1)
    monkeypatch.setattr("erlmcp_site.methods.listing.PORTION", 2)
    await callers.grant(f"{HERE}/*", "read")
    await callers.grant(HIDDEN, "read", "deny")
    await callers.grant(f"{HERE}/z", "read", "deny")
    body(await callers.ask("alice", "resources/write", uri=f"{HERE}/z", content=1))
    found, cursors = [], [""]
    while cursors[-1] is not None:
        params = {"limit": 1} | ({"cursor": cursors[-1]} if cursors[-1] else {})
        listed = body(await callers.ask("new", "resources/list", **params))
        found += [one["uri"] for one in listed["resources"]]
        cursors.append(listed["next_cursor"])
    assert found == [f"{HERE}/a", f"{HERE}/b"]
    (sealed,) = {cursor for cursor in cursors if cursor and cursor.startswith("~")}
    for wrong in (sealed[:-4] + "AAAA", "~", "~x"):
        assert await callers.code("new", "resources/list", cursor=wrong) == "invalid_params"


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
    await eventually(lambda: len(followings), 5, "the poll follows")
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


async def test_only_followers_that_are_not_covered_any_more_are_cut(callers: Callers) -> None:
    await callers.grant(f"{HERE}/*", "read subscribe")
    narrow, wide, other = [
        await follow(callers, user, pattern)
        for user, pattern in (("new", f"{HERE}/a"), ("new", f"{HERE}/*"), ("bob", f"{HERE}/*"))
    ]
    await callers.grant(HIDDEN, "subscribe", "deny", user="new")
    await eventually(lambda: wide.deletions, 5, "the follower of the pattern is cut")
    assert (narrow.deletions, other.deletions) == ([], [])
    await callers.grant("*", "read", "deny", group="viewer")
    await eventually(lambda: other.deletions, 5, "the follower of the other user is cut")
    body(await callers.ask("alice", "resources/write", uri=f"{HERE}/a", content=2))
    await eventually(lambda: narrow.offsets, 5, "the one that may goes on")
    assert (wide.offsets, other.offsets, narrow.deletions) == ([], [], [])


async def test_a_follower_that_has_left_is_kept_an_eye_on_no_more(callers: Callers) -> None:
    outlet = Client()
    told = body(await ask("resources/subscribe", {"uri": f"{HERE}/*"}, callers.tokens["alice"], outlet=outlet))
    follower = outlet.followers[told["subscription"]]
    hub.leave(follower)
    followings.add(follower, await authenticate(Credentials(token=callers.tokens["alice"])))
    assert len(followings) == 0


async def test_a_rule_ends_by_itself(callers: Callers) -> None:
    soon = (now() + timedelta(seconds=3)).isoformat()
    granted = await callers.ask(
        "root", "access/grant", user="new", pattern=HERE, verbs=["read", "subscribe"], expires_at=soon
    )
    assert body(granted)["expires_at"]
    client = await follow(callers, "new", HERE)
    await eventually(lambda: client.deletions, 10, "the follower is cut when the rule expires")
    assert await callers.code("new", "resources/read", uri=HERE) == "resource_not_found"
    assert body(await callers.ask("root", "access/list"))["rules"] == []
    past = (now() - timedelta(seconds=1)).isoformat()
    refused = await callers.ask("root", "access/grant", user="new", pattern=HERE, verbs=["read"], expires_at=past)
    assert code(refused) == "invalid_params"
    assert await asyncio.to_thread(drop_expired_rules) == 1


async def test_an_administrator_of_a_part_grants_there_what_it_has(callers: Callers) -> None:
    await callers.grant(f"{HERE}/*", "read admin")
    assert await callers.code("new", "access/list") is None
    grant = {"user": "bob", "verbs": ["read"]}
    for pattern, verbs, told in (
        (f"{HERE}/a", ["read"], None),
        (f"{HERE}/a/*", ["read", "admin"], None),
        (f"{HERE}/a", ["write"], "forbidden"),
        (f"{HERE}/*", ["read"], None),
        (HERE, ["read"], "forbidden"),
        ("*", ["read"], "forbidden"),
        ("resource://example.com/*", ["read"], "forbidden"),
    ):
        assert await callers.code("new", "access/grant", **grant | {"pattern": pattern, "verbs": verbs}) == told
    assert await callers.code("new", "access/grant", user="new", pattern=HIDDEN, verbs=["read"]) == "forbidden"
    for verbs, told in ((["read"], None), (["read", "admin"], "forbidden")):
        refused = await callers.code("new", "access/grant", everyone=True, pattern=f"{HERE}/*", verbs=verbs)
        assert refused == told
    theirs = await callers.grant(f"{HERE}/a", "write", "deny", by="new", user="alice")
    assert await callers.code("alice", "resources/write", uri=f"{HERE}/a", content=2) == "forbidden"
    await callers.revoke(theirs, by="new")
    own = await callers.grant(HIDDEN, "read", "deny")
    assert await callers.code("new", "access/revoke", rule=own) == "forbidden"
    outside = await callers.grant("resource://other.local/*", "read")
    assert await callers.code("new", "access/revoke", rule=outside) == "resource_not_found"
    listed = body(await callers.ask("new", "access/list"))["rules"]
    assert {one["pattern"] for one in listed} == {f"{HERE}/*", f"{HERE}/a", f"{HERE}/a/*", HIDDEN}
    assert len(body(await callers.ask("root", "access/list"))["rules"]) == len(listed) + 1
    assert await callers.code("alice", "access/list") == "forbidden"


async def test_lists_of_rules_are_paged(callers: Callers) -> None:
    made = [await callers.grant(f"{HERE}/{number}", "read") for number in range(5)]
    first = body(await callers.ask("root", "access/list", limit=3))
    second = body(await callers.ask("root", "access/list", limit=3, cursor=first["next_cursor"]))
    assert [one["id"] for one in first["rules"] + second["rules"]] == made
    assert second["next_cursor"] is None


async def test_an_explanation_names_the_rule_that_decides(callers: Callers) -> None:
    await callers.grant("*", "write", "deny", group="viewer")
    rule = await callers.grant(HIDDEN, "read", "deny", everyone=True)
    told = body(await callers.ask("root", "access/explain", user="bob", uri=HIDDEN))["verbs"]
    assert (told["read"]["allowed"], told["read"]["why"], told["read"]["rule"]["id"]) == (False, "rule", rule)
    assert told["read"]["rule"]["everyone"] is True
    assert told["write"]["rule"]["group"] == "viewer"
    assert (told["subscribe"]["allowed"], told["subscribe"]["why"]) == (True, "permission")
    assert (told["admin"]["allowed"], told["admin"]["why"], told["admin"]["rule"]) == (False, "nothing", None)
    everywhere = body(await callers.ask("root", "access/explain", user="bob", uri="*"))["verbs"]
    assert (everywhere["read"]["allowed"], everywhere["read"]["rule"]["id"]) == (False, rule)
    assert (
        body(await callers.ask("root", "access/explain", user="root", uri="*"))["verbs"]["admin"]["why"] == "superuser"
    )
    assert await callers.code("root", "access/explain", user="nobody", uri="*") == "invalid_params"
    assert await callers.code("bob", "access/explain", user="bob", uri=HERE) == "forbidden"


@pytest.mark.parametrize(
    "wrong",
    [
        {"user": "nobody"},
        {"group": "nobody"},
        {"user": None, "group": "viewer"},
        {"group": "viewer"},
        {"user": ""},
        {"verbs": []},
        {"verbs": ["own"]},
        {"verbs": None},
        {"effect": "maybe"},
        {"pattern": 7},
        {"pattern": "nowhere"},
        {"pattern": "resource://a.local/*?x"},
    ],
)
async def test_what_is_no_rule_is_not_granted(callers: Callers, wrong: dict[str, Any]) -> None:
    params = {"user": "new", "pattern": HERE, "verbs": ["read"]} | wrong
    assert await callers.code("root", "access/grant", **params) in {"invalid_params", "invalid_uri"}
    assert body(await callers.ask("root", "access/list"))["rules"] == []


async def test_grants_and_revocations_leave_security_entries_that_say_what(callers: Callers) -> None:
    granted = await callers.ask("root", "access/grant", user="new", pattern=HERE, verbs=["write", "read"])
    rule = body(granted)
    assert (rule["verbs"], rule["effect"], rule["created_by"]) == (["read", "write"], "allow", "root")
    revoked = await callers.ask("root", "access/revoke", rule=rule["id"])
    for reply in (granted, revoked):
        (entry,) = await entries_of(reply)
        assert (entry["outcome"], entry["resource_type"]) == ("success", "rule")
        details = entry["details"]
        assert (details["rule"], details["pattern"], details["verbs"]) == (rule["id"], HERE, "read,write")
        assert (details["effect"], details["principal"].partition(":")[0]) == ("allow", "user")


async def test_a_rule_goes_with_its_user(callers: Callers) -> None:
    await callers.grant(HERE, "read")
    await in_database(lambda: User.objects.get(username="new").delete())
    assert not await in_database(AccessRule.objects.exists)


async def test_a_process_that_has_missed_events_reads_the_rules_again(callers: Callers) -> None:
    await callers.grant(HERE, "read subscribe")
    client = await follow(callers, "new", HERE)
    await in_database(AccessRule.objects.all().delete)
    assert await callers.code("new", "resources/read", uri=HERE) is None
    asking = [asyncio.ensure_future(rulebook.read())]
    for _ in range(2):
        follow_control(ControlEvent(kind=CONTROL_LOST, subject=""))
        asking.append(asyncio.ensure_future(rulebook.read()))
    await eventually(lambda: client.deletions, 5, "the follower is cut")
    assert await callers.code("new", "resources/read", uri=HERE) == "resource_not_found"
    assert (await asyncio.gather(*asking))[-1] is rulebook.index
