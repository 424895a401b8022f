"""The admin's pages on access: rules come and go by the pipeline, and pages show what their users may read."""

import random

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils.timezone import now

from audit_app.writer import writer
from resources_app.models import Resource
from sessions_app.access.decisions import may
from sessions_app.access.index import Index
from sessions_app.access.queries import readable, rules_that_hold
from sessions_app.access.rules import Rule, Verb
from sessions_app.access.store import GrantAccess
from sessions_app.authentication import rights_of
from sessions_app.models import AccessRule
from tests.sessions.test_access_rules import URIS, some_rules
from tests.sessions.test_admin import page, told
from tests.stack.outbox import entries

__all__ = ["page"]

TREE = "resource://a.local/x"


def grant(rule: Rule) -> None:
    writer.run(GrantAccess(rule=rule, entry=None))


def add_resource(uri: str) -> None:
    at = now()
    Resource.objects.create(
        uri=uri,
        mime_type="application/json",
        on_conflict="reject",
        kind="content",
        body=b"1",
        size=1,
        version=1,
        created_at=at,
        updated_at=at,
        offset=1,
    )


def test_a_rule_is_granted_and_revoked_by_pages(page: Client, users: dict[str, User]) -> None:
    form = {"pattern": f"{TREE}/*", "verbs": ["read", "write"], "effect": "deny"}
    answer = page.post("/admin/sessions_app/accessrule/add/", form | {"user": "bob"})
    assert answer.status_code == 302, answer.content.decode()
    rule = AccessRule.objects.get()
    assert (rule.user, rule.group, rule.pattern, rule.verbs) == (users["bob"], None, f"{TREE}/*", "read,write")
    assert (rule.effect, rule.created_by) == ("deny", "root")
    assert told("access.granted") == [rule.id]
    listed = page.get("/admin/sessions_app/accessrule/").content.decode()
    assert f"{TREE}/*" in listed and "user bob" in listed
    assert page.get(f"/admin/sessions_app/accessrule/{rule.id}/change/").status_code == 200
    page.post(f"/admin/sessions_app/accessrule/{rule.id}/delete/", {"post": "yes"})
    assert not AccessRule.objects.exists()
    assert told("access.revoked") == [rule.id]


@pytest.mark.parametrize(
    "wrong",
    [{"user": "bob", "everyone": "on"}, {}, {"user": "bob", "pattern": "nowhere"}, {"user": "bob", "verbs": []}],
)
def test_a_page_says_what_is_wrong_with_a_rule(page: Client, wrong: dict[str, object]) -> None:
    form = {"pattern": f"{TREE}/*", "verbs": ["read"], "effect": "allow"} | wrong
    assert page.post("/admin/sessions_app/accessrule/add/", form).status_code == 200
    assert not AccessRule.objects.exists()


def test_a_page_explains_what_somebody_may(page: Client, users: dict[str, User]) -> None:
    page.post(
        "/admin/sessions_app/accessrule/add/",
        {"pattern": f"{TREE}/*", "verbs": ["read"], "effect": "deny", "group": "viewer"},
    )
    shown = page.get("/admin/access/", {"user": "bob", "uri": f"{TREE}/1"}).content.decode()
    assert f"deny on {TREE}/* for viewer" in shown
    assert "permission" in shown and "nothing" in shown
    assert "There is no such user." in page.get("/admin/access/", {"user": "none", "uri": TREE}).content.decode()
    assert page.get("/admin/access/").status_code == 200


def test_looks_at_rules_and_refused_questions_are_on_record(page: Client, users: dict[str, User]) -> None:
    assert page.get("/admin/sessions_app/accessrule/").status_code == 200
    assert [(one["user"], one["outcome"]) for one in entries("access/list")] == [("root", "success")]
    users["bob"].is_staff = True
    users["bob"].save()
    page.force_login(users["bob"])
    assert page.get("/admin/access/", {"user": "root", "uri": TREE}).status_code == 403
    assert [(one["user"], one["outcome"]) for one in entries("access/explain")] == [("bob", "refused")]


def test_those_without_the_right_see_no_rules(users: dict[str, User]) -> None:
    User.objects.filter(username="bob").update(is_staff=True)
    client = Client()
    client.force_login(users["bob"])
    for path in ("sessions_app/accessrule/", "sessions_app/accessrule/add/", f"access/?user=bob&uri={TREE}"):
        assert client.get(f"/admin/{path}").status_code == 403


def test_pages_show_the_resources_that_their_user_may_read(users: dict[str, User], dice: random.Random) -> None:
    """The condition for the database says what the index says, whatever the rules."""
    for uri in URIS:
        add_resource(uri)
    bob = users["bob"]
    if dice.random() < 0.5:
        bob.groups.clear()
    names = {"user:1": f"user:{bob.pk}", "user:2": f"user:{users['new'].pk}", "group:2": "group:1"}
    names["group:1"] = next((f"group:{group.pk}" for group in bob.groups.all()), "group:2")
    for rule in some_rules(dice, 25):
        kept = rule.dumped() | {"principal": names.get(rule.principal, rule.principal)}
        grant(Rule.loaded(kept))
    rights, index = rights_of(bob), Index(rules_that_hold())
    shown = Resource.objects.filter(readable(rights)).values_list("uri", flat=True)
    assert set(shown) == {uri for uri in URIS if may(index, rights, Verb.READ, uri)}


def test_a_page_of_resources_hides_what_is_denied(page: Client, users: dict[str, User]) -> None:
    for name in ("open", "shut"):
        add_resource(f"{TREE}/{name}")
    form = {"pattern": f"{TREE}/shut", "verbs": ["read"], "effect": "deny", "everyone": "on"}
    assert page.post("/admin/sessions_app/accessrule/add/", form).status_code == 302
    User.objects.filter(username="bob").update(is_staff=True)
    users["bob"].user_permissions.add(Permission.objects.get(codename="read", content_type__app_label="resources_app"))
    client = Client()
    client.force_login(users["bob"])
    shown = client.get("/admin/resources_app/resource/").content.decode()
    assert f"{TREE}/open" in shown and f"{TREE}/shut" not in shown
    hidden = Resource.objects.get(uri=f"{TREE}/shut").pk
    answer = client.get(f"/admin/resources_app/resource/{hidden}/change/", follow=True).content.decode()
    assert f"{TREE}/shut" not in answer
    assert f"{TREE}/shut" in page.get("/admin/resources_app/resource/").content.decode()
