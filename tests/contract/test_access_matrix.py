"""Who may call which method on which resource, over every transport: every method, every user, every verb (quality 23).

A method that is in no table here fails the test.
"""

from collections.abc import AsyncIterator

import pytest

from erlmcp_site.methods import catalogue  # noqa: F401  # fills the table
from erlmcp_site.methods.table import METHODS
from tests.contract.conftest import Client, Opening
from tests.scenarios.matrix import (
    ON_RESOURCES,
    USERS,
    Field,
    field_of,
    told,
    walk_lists,
    walk_methods,
    walk_patterns,
    walk_streams,
)
from tests.stack.cluster import Cluster
from tests.stack.door import Door

OF_SUBSCRIPTIONS = {"events/poll": {"timeout_ms": 0}, "events/ack": {"offset": 0}}
"""Checked again on what the subscription follows."""

FOR_THEIR_OWN = {
    *("subscriptions/get", "subscriptions/list", "subscriptions/delete", "resources/unsubscribe"),
    *("sessions/create", "sessions/get", "sessions/list", "sessions/update", "sessions/close", "auth/authenticate"),
    *("keys/create", "keys/list", "keys/revoke"),
}
FILTERED = {
    *("resources/list", "resources/search", "resources/templates", "access/list", "events/listen"),
    *("prompts/list", "prompts/get", "completion/complete"),
}
"""What they show and go by is what their caller may read (tests/pipeline/test_prompts.py, test_completion.py)."""

FOR_EVERYBODY = {"tools/list", "server/discover"}
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


def test_every_method_says_what_it_needs() -> None:
    known = {
        *ON_RESOURCES,
        *OF_SUBSCRIPTIONS,
        *FOR_THEIR_OWN,
        *FILTERED,
        *BY_ADMIN,
        *BY_PERMISSION,
        *PUBLIC,
        *FOR_EVERYBODY,
    }
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
async def field(stack: Cluster) -> AsyncIterator[Field]:
    async with field_of(stack) as made:
        yield made


async def test_the_matrix(stack: Cluster, front_door: Door, transport: str, field: Field) -> None:
    await walk_methods(stack, front_door, transport, field)


async def test_the_matrix_of_agents(stack: Cluster, front_door: Door, field: Field) -> None:
    await walk_methods(stack, front_door, "mcp", field)


async def test_the_matrix_of_patterns(stack: Cluster, front_door: Door, transport: str, field: Field) -> None:
    await walk_patterns(stack, front_door, transport, field)


async def test_the_matrix_of_streams(stack: Cluster, front_door: Door, field: Field) -> None:
    await walk_streams(stack, front_door, field)


async def test_lists_show_what_may_be_read_and_nothing_else(
    stack: Cluster, front_door: Door, transport: str, field: Field
) -> None:
    await walk_lists(stack, front_door, transport, field)


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
