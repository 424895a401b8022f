"""Who may call which method on which resource, over every transport: every method, every user, every verb (quality 23).

The users have what their rules say and nothing else. What each method needs stands here apart from the code under test;
a method that is not here fails the test.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import pytest

from erlmcp_site.methods import catalogue  # noqa: F401  # fills the table
from erlmcp_site.methods.table import METHODS
from tests.contract.conftest import Client, Opening
from tests.stack.answers import Refused
from tests.stack.cluster import Cluster
from tests.stack.sse import follow

VERBS = ("read", "write", "delete", "subscribe", "admin")


class Call(NamedTuple):
    """How a method is called on a URI or pattern, and the verb that it takes there beside `read`."""

    verb: str
    params: Callable[[str], Mapping[str, Any]]
    pushes: bool = False


def on(verb: str, pushes: bool = False, **params: Any) -> Call:
    return Call(verb, lambda uri: {"uri": uri} | params, pushes)


def batch(method: str, **params: Any) -> Call:
    verb = "delete" if method == "resources/delete" else "write"
    return Call(verb, lambda uri: {"operations": [{"method": method, "params": {"uri": uri} | params}]})


ON_RESOURCES: dict[str, list[Call]] = {
    "resources/read": [on("read"), on("read", version=1)],
    "resources/history": [on("read")],
    "resources/diff": [Call("read", lambda uri: {"uri": uri, "from": 1})],
    "resources/create": [on("write", content=1)],
    "resources/write": [on("write", content=1)],
    "resources/patch": [on("write", patch={"a": 1})],
    "resources/restore": [on("write", version=1)],
    "resources/delete": [on("delete")],
    "resources/batch": [batch("resources/write", content=1), batch("resources/delete")],
    "subscriptions/create": [on("subscribe")],
    "resources/subscribe": [on("subscribe", pushes=True)],
    "events/stream": [on("subscribe", pushes=True)],
}
OF_SUBSCRIPTIONS = {"events/poll": {"timeout_ms": 0}, "events/ack": {"offset": 0}}
"""Checked again on what the subscription follows."""

FOR_THEIR_OWN = {
    *("subscriptions/get", "subscriptions/list", "subscriptions/delete", "resources/unsubscribe"),
    *("sessions/create", "sessions/get", "sessions/list", "sessions/update", "sessions/close", "auth/authenticate"),
    *("keys/create", "keys/list", "keys/revoke"),
}
FILTERED = {"resources/list", "access/list"}
BY_ADMIN = {"access/grant": "pattern", "access/explain": "uri", "access/revoke": "rule"}
BY_PERMISSION = {
    "sessions/suspend": {"session": "none"},
    "sessions/resume": {"session": "none"},
    "audit/list": {},
    "audit/verify": {},
    "telemetry/snapshot": {},
    "telemetry/profile": {},
}
PUBLIC = {"auth/login", "auth/refresh", "auth/revoke"}

USERS = {
    "none": (),
    "reads": ("read",),
    "writes": ("read", "write"),
    "deletes": ("read", "delete"),
    "follows": ("read", "subscribe"),
    "blind": ("write", "delete", "subscribe"),
    "manages": ("read", "admin"),
}
"""What each may do in its part of the tree."""


class Field(NamedTuple):
    """The matrix's part of the tree: `open/` is granted, `open/shut` is denied again, everything else is nobody's."""

    tree: str

    def uri(self, name: str) -> str:
        return f"{self.tree}{name}"


def test_every_method_says_what_it_needs() -> None:
    known = {*ON_RESOURCES, *OF_SUBSCRIPTIONS, *FOR_THEIR_OWN, *FILTERED, *BY_ADMIN, *BY_PERMISSION, *PUBLIC}
    assert known == set(METHODS)
    for name, method in METHODS.items():
        assert method.public is (name in PUBLIC), name
        if name in ON_RESOURCES and method.needs is not None:
            assert (method.needs, method.on) == (f"resources:{ON_RESOURCES[name][0].verb}", "uri"), name
        elif name in ON_RESOURCES:
            assert method.needs_of is not None, name
        elif name in BY_PERMISSION or name in BY_ADMIN:
            assert method.needs is not None, name


@pytest.fixture
async def field(stack: Cluster, admin: Client) -> AsyncIterator[Field]:
    """A part of the tree where every user of the matrix has its rules; they go with the test."""
    names = [f"matrix-{name}" for name in USERS]
    if names[0] not in stack.passwords:
        stack.add_users(*names)
    made = Field(stack.tree())
    rules = []
    for name, verbs in USERS.items():
        if verbs:
            for pattern, effect in ((f"{made.tree}open/*", "allow"), (made.uri("open/shut"), "deny")):
                params = {"user": f"matrix-{name}", "pattern": pattern, "verbs": list(verbs), "effect": effect}
                rules.append((await admin.call("access/grant", **params))["id"])
    for name in ("open/a", "open/shut", "apart"):
        for content in (1, 2):
            await admin.call("resources/write", uri=made.uri(name), content=content)
    yield made
    for rule in rules:
        await admin.call("access/revoke", rule=rule)


async def told(client: Client, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """What a caller learns of a call: nothing of interest, or the whole refusal but what names the request itself."""
    try:
        await client.call(method, **params)
    except Refused as refused:
        data = {name: value for name, value in refused.data.items() if name not in {"request_id", "uri", "instance"}}
        return {"code": refused.code, "number": refused.number, **data}
    return {"code": None}


async def test_the_matrix(opened: Opening, transport: str, admin: Client, field: Field) -> None:
    for name, verbs in USERS.items():
        async with opened(f"matrix-{name}") as client:
            for method, calls in ON_RESOURCES.items():
                for call in calls:
                    if call.pushes and (transport != "websocket" or method == "events/stream"):
                        continue
                    where = f"{name} {method} over {transport}"
                    unknown = {
                        place: await told(client, method, call.params(field.uri(place)))
                        for place in ("open/shut", "apart", "never", "open/shut")
                    }
                    for place, refusal in unknown.items():
                        assert refusal["code"] == "resource_not_found", (where, place, refusal)
                        assert refusal == unknown["never"], (where, place)
                    code = (await told(client, method, call.params(field.uri("open/a"))))["code"]
                    if "read" not in verbs:
                        assert code == "resource_not_found", where
                    elif call.verb not in verbs:
                        assert code == "forbidden", where
                    else:
                        assert code in {None, "already_exists", "resource_not_found", "patch_failed"}, where
                        assert code is None or method in {"resources/create", "resources/patch"}, (where, code)
                    if call.verb == "delete" and code is None:
                        await admin.call("resources/write", uri=field.uri("open/a"), content=1)


async def test_the_matrix_of_patterns(opened: Opening, transport: str, field: Field) -> None:
    methods = ["subscriptions/create", *(["resources/subscribe"] if transport == "websocket" else [])]
    for name, verbs in USERS.items():
        async with opened(f"matrix-{name}") as client:
            for method in methods:
                for place, is_open in {
                    "*": False,
                    "+": False,
                    "open/*": False,
                    "open/+": False,
                    "open/in/*": True,
                    "open/in/+": True,
                    "open/shut/*": True,
                    "apart/*": False,
                }.items():
                    code = (await told(client, method, {"uri": field.uri(place)}))["code"]
                    reads = is_open and "read" in verbs
                    right = None if reads and "subscribe" in verbs else "forbidden" if reads else "resource_not_found"
                    assert code == right, (name, method, place)


async def test_the_matrix_of_streams(stack: Cluster, field: Field) -> None:
    for name, verbs in USERS.items():
        async with stack.rest(f"matrix-{name}") as client:
            for place, is_open in {"open/a": True, "open/in/*": True, "open/*": False, "apart": False}.items():
                code = None
                try:
                    async with AsyncExitStack() as streams:
                        await streams.enter_async_context(follow(client, uri=field.uri(place)))
                except Refused as refused:
                    code = refused.code
                reads = is_open and "read" in verbs
                right = None if reads and "subscribe" in verbs else "forbidden" if reads else "resource_not_found"
                assert code == right, (name, place)


async def test_lists_show_what_may_be_read_and_nothing_else(opened: Opening, field: Field) -> None:
    for name, verbs in USERS.items():
        async with opened(f"matrix-{name}") as client:
            listed = (await client.call("resources/list", prefix=field.tree))["resources"]
            assert [one["uri"] for one in listed] == ([field.uri("open/a")] if "read" in verbs else []), name
            everywhere = (await client.call("resources/list"))["resources"]
            assert [one["uri"] for one in everywhere] == [one["uri"] for one in listed], name


async def test_durable_subscriptions_are_checked_again(opened: Opening, admin: Client, field: Field) -> None:
    async with opened("matrix-follows") as client:
        pattern = field.uri("open/in/*")
        made = (await client.call("subscriptions/create", uri=pattern))["id"]
        for method, params in OF_SUBSCRIPTIONS.items():
            assert (await told(client, method, params | {"subscription": made}))["code"] is None, method
        for verb, right in {"subscribe": "forbidden", "read": "resource_not_found"}.items():
            grant = {"user": "matrix-follows", "pattern": field.uri("open/in/deep"), "verbs": [verb], "effect": "deny"}
            rule = (await admin.call("access/grant", **grant))["id"]
            for method, params in OF_SUBSCRIPTIONS.items():
                assert (await told(client, method, params | {"subscription": made}))["code"] == right, method
            await admin.call("access/revoke", rule=rule)


async def test_only_administrators_of_a_part_touch_its_rules(opened: Opening, admin: Client, field: Field) -> None:
    params = {"user": "matrix-none", "pattern": field.uri("open/in/*"), "verbs": ["read"], "effect": "allow"}
    rule = (await admin.call("access/grant", **params))["id"]
    for name, verbs in USERS.items():
        manages = "admin" in verbs
        async with opened(f"matrix-{name}") as client:
            right = None if manages else "forbidden"
            assert (await told(client, "access/list", {}))["code"] == right, name
            for place in ("open/in/*", "open/shut", "open/*", "*", "apart"):
                pattern = place if place == "*" else field.uri(place)
                is_theirs = manages and place == "open/in/*"
                grant = params | {"pattern": pattern}
                assert (await told(client, "access/grant", grant))["code"] == (None if is_theirs else "forbidden"), name
                asked = {"user": "matrix-none", "uri": pattern}
                assert (await told(client, "access/explain", asked))["code"] == (None if is_theirs else "forbidden")
            wide = params | {"verbs": ["read", "write"]}
            assert (await told(client, "access/grant", wide))["code"] == "forbidden", name
            if manages:
                foreign = [one for one in (await admin.call("access/list", limit=1000))["rules"] if "bob" in str(one)]
                unknown = await told(client, "access/revoke", {"rule": "none"})
                assert unknown["code"] == "resource_not_found"
                for one in foreign:
                    assert await told(client, "access/revoke", {"rule": one["id"]}) == unknown
            else:
                assert (await told(client, "access/revoke", {"rule": rule}))["code"] == "forbidden", name
            for method, given in BY_PERMISSION.items():
                assert (await told(client, method, given))["code"] == "forbidden", (name, method)
    async with opened("matrix-manages") as client:
        assert (await told(client, "access/revoke", {"rule": rule}))["code"] is None


async def test_a_user_without_any_rule_is_told_nothing(opened: Opening, stranger: str, field: Field) -> None:
    async with opened(stranger) as client:
        assert (await client.call("resources/list"))["resources"] == []
        assert (await told(client, "resources/read", {"uri": field.uri("open/a")}))["code"] == "resource_not_found"
