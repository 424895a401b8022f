"""Who may grant and revoke what, and what is told of it."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from audit_app.database import in_database
from sessions_app.models import AccessRule
from tests.pipeline.callers import HERE, HIDDEN, Callers
from tests.pipeline.calls import body, entries_of

pytestmark = pytest.mark.usefixtures("running")


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


async def test_what_was_granted_holds_when_whoever_granted_it_may_no_more(callers: Callers) -> None:
    own = await callers.grant(f"{HERE}/*", "read admin")
    theirs = await callers.grant(f"{HERE}/a", "read", by="new", everyone=True)
    await callers.revoke(own)
    assert await callers.code("new", "resources/read", uri=f"{HERE}/a") is None, "as one of everyone"
    assert await callers.code("new", "resources/read", uri=f"{HERE}/b") == "resource_not_found"
    assert await callers.code("new", "access/revoke", rule=theirs) == "forbidden"
    (rule,) = body(await callers.ask("root", "access/list"))["rules"]
    assert (rule["id"], rule["created_by"]) == (theirs, "new")


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
