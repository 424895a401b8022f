"""One call of each method, done and refused, with what its entry has to name."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tests.stack.cluster import Cluster
from tests.stack.rest import Rest


class World(NamedTuple):
    """What a case can refer to: a resource that is there, and things of the user who asks."""

    tree: str
    uri: str
    session: str
    subscription: str
    key: str
    rule: str
    head: int
    refresh: str
    password: str
    token: str


class Case(NamedTuple):
    """One call, by admin unless `user` says otherwise: its parameters, how it ends, and what its entry names."""

    method: str
    params: Callable[[World], Mapping[str, Any]]
    code: str | None = None
    names: Callable[[World], str] = lambda world: ""
    user: str | None = "admin"

    def __str__(self) -> str:
        return f"{self.method} {self.code or 'done'} {self.user or ''}".strip()


NONE = "resource://never.local/was"
PROMPT = "entries"


def grant(pattern: str) -> dict[str, Any]:
    """A rule that gives Bob nothing that he does not have."""
    return {"user": "bob", "pattern": pattern, "verbs": ["read"], "effect": "allow"}


def on(method: str, code: str | None = None, user: str | None = "admin", **params: Any) -> Case:
    """A case on the resource that is there."""
    return Case(method, lambda world: {"uri": world.uri, **params}, code, lambda world: world.uri, user)


def off(method: str, code: str, user: str | None = "admin", **params: Any) -> Case:
    """A case on a resource that never was."""
    return Case(method, lambda world: {"uri": NONE, **params}, code, lambda world: NONE, user)


def of(field: str, method: str, code: str | None = None, **params: Any) -> Case:
    """A case on a session or a subscription: one of the caller's, or for a refusal one that never was."""
    value = (lambda world: "nope") if code else (lambda world: str(getattr(world, field)))
    return Case(method, lambda world: {field: value(world), **params}, code, value)


def plain(method: str, code: str | None = None, names: str = "", user: str | None = "admin", **params: Any) -> Case:
    return Case(method, lambda world: params, code, lambda world: names, user)


def completing(ref: dict[str, str], names: str, code: str | None = None) -> Case:
    """A case on what something is completed by."""
    return plain("completion/complete", code, names, ref=ref, argument={"name": "uri", "value": ""})


CASES = [
    Case("auth/login", lambda world: {"username": "admin", "password": world.password}, None, lambda world: "admin"),
    plain("auth/login", "unauthenticated", "mallory", username="mallory", password="wrong", user=None),
    plain("auth/login", "invalid_params", "mallory", username="mallory", user=None),
    Case("auth/refresh", lambda world: {"refresh": world.refresh}, None, lambda world: "*"),
    plain("auth/refresh", "unauthenticated", refresh="a.b.c", user=None),
    Case("auth/revoke", lambda world: {"refresh": world.refresh}, None, lambda world: "*"),
    plain("auth/revoke", "unauthenticated", refresh="a.b.c", user=None),
    Case("auth/authenticate", lambda world: {"token": world.token}),
    Case("keys/create", lambda world: {"label": "one"}, None, lambda world: "*"),
    plain("keys/create", "invalid_params", scope="everything"),
    plain("keys/list"),
    plain("keys/list", "unauthenticated", user=None),
    Case("keys/revoke", lambda world: {"id": world.key}, None, lambda world: world.key),
    plain("keys/revoke", "resource_not_found", "nope", id="nope"),
    plain("sessions/create", label="one"),
    plain("sessions/create", "invalid_params", backend="nowhere"),
    plain("sessions/list"),
    plain("sessions/list", "unauthenticated", user=None),
    of("session", "sessions/get"),
    of("session", "sessions/get", "resource_not_found"),
    of("session", "sessions/update", label="two"),
    of("session", "sessions/update", "resource_not_found", label="two"),
    of("session", "sessions/suspend"),
    of("session", "sessions/suspend", "resource_not_found"),
    of("session", "sessions/resume"),
    of("session", "sessions/resume", "resource_not_found"),
    of("session", "sessions/close"),
    of("session", "sessions/close", "resource_not_found"),
    on("resources/read"),
    off("resources/read", "resource_not_found"),
    on("resources/read", "unauthenticated", None),
    on("resources/history"),
    off("resources/history", "resource_not_found"),
    Case("resources/diff", lambda w: {"uri": w.uri, "from": 1}, None, lambda w: w.uri),
    Case("resources/diff", lambda w: {"uri": NONE, "from": 1}, "resource_not_found", lambda w: NONE),
    Case("resources/list", lambda world: {"prefix": world.tree}, None, lambda world: world.tree),
    plain("resources/list", "invalid_params", limit=0),
    Case("resources/search", lambda w: {"prefix": w.tree, "path": "$.n"}, None, lambda world: world.tree),
    plain("resources/search", "invalid_params", path="n"),
    plain("resources/templates"),
    plain("resources/templates", "invalid_params", limit=0),
    plain("tools/list"),
    plain("tools/list", "unauthenticated", user=None),
    plain("server/discover"),
    plain("server/discover", "unauthenticated", user=None),
    plain("prompts/list"),
    plain("prompts/list", "unauthenticated", user=None),
    Case("prompts/get", lambda w: {"name": PROMPT, "arguments": {"uri": w.uri}}, None, lambda w: PROMPT),
    plain("prompts/get", "resource_not_found", "nope", name="nope"),
    plain("prompts/get", "invalid_params", PROMPT, name=PROMPT, arguments={"none": "x"}),
    completing({"type": "ref/prompt", "name": PROMPT}, PROMPT),
    completing({"type": "ref/prompt", "name": "nope"}, "nope", "resource_not_found"),
    completing({"type": "ref/resource", "uri": "resource://none/{a}"}, "resource://none/{a}", "invalid_params"),
    Case("resources/create", lambda w: {"uri": f"{w.tree}new", "content": 1}, None, lambda w: f"{w.tree}new"),
    on("resources/create", "already_exists", content=1),
    on("resources/write", content={"a": 1}),
    on("resources/write", "version_conflict", content=2, base_version=1, on_conflict="reject"),
    on("resources/write", "forbidden", "bob", content=2),
    on("resources/patch", patch={"b": 2}),
    off("resources/patch", "resource_not_found", patch={}),
    on("resources/restore", version=1),
    off("resources/restore", "resource_not_found", version=1),
    Case(
        "resources/batch",
        lambda w: {"operations": [{"method": "resources/write", "params": {"uri": w.uri, "content": 3}}]},
    ),
    plain("resources/batch", "invalid_params", operations=[]),
    on("subscriptions/create"),
    off("subscriptions/create", "resource_not_found"),
    plain("subscriptions/list"),
    plain("subscriptions/list", "invalid_params", limit=0),
    of("subscription", "subscriptions/get"),
    of("subscription", "subscriptions/get", "resource_not_found"),
    of("subscription", "events/poll", timeout_ms=0),
    of("subscription", "events/poll", "resource_not_found", timeout_ms=0),
    Case("events/ack", lambda w: {"subscription": w.subscription, "offset": w.head}, None, lambda w: w.subscription),
    of("subscription", "events/ack", "resource_not_found", offset=1),
    on("resources/subscribe"),
    off("resources/subscribe", "resource_not_found"),
    of("subscription", "resources/unsubscribe", "resource_not_found"),
    on("events/stream"),
    off("events/stream", "resource_not_found"),
    Case("access/grant", lambda w: grant(f"{w.tree}*"), None, lambda w: f"{w.tree}*"),
    Case("access/grant", lambda w: grant(f"{w.tree}*"), "forbidden", lambda w: f"{w.tree}*", "bob"),
    Case("access/grant", lambda w: grant("*") | {"user": "nobody"}, "invalid_params", lambda w: "*"),
    plain("access/list"),
    plain("access/list", "forbidden", user="bob"),
    Case("access/explain", lambda w: {"user": "bob", "uri": w.uri}, None, lambda w: w.uri),
    Case("access/explain", lambda w: {"user": "bob", "uri": w.uri}, "forbidden", lambda w: w.uri, "bob"),
    of("rule", "access/revoke"),
    of("rule", "access/revoke", "resource_not_found"),
    plain("audit/list", limit=1),
    plain("audit/list", "forbidden", user="bob"),
    plain("audit/verify", until=1),
    plain("audit/verify", "forbidden", user="bob"),
    plain("telemetry/snapshot"),
    plain("telemetry/snapshot", "forbidden", user="bob"),
    plain("telemetry/profile", "method_not_found"),
    plain("telemetry/profile", "forbidden", user="bob"),
    of("subscription", "subscriptions/delete"),
    of("subscription", "subscriptions/delete", "resource_not_found"),
    on("resources/delete"),
    off("resources/delete", "resource_not_found"),
]


async def world_of(stack: Cluster) -> World:
    tree, family = stack.tree(), stack.login("admin")
    uri = f"{tree}there"
    async with Rest(stack.nodes[0].base, stack.token("admin")) as rest:
        await rest.call("resources/create", uri=uri, content={"n": 1})
        embedded = {"role": "user", "content": {"type": "resource", "resource": {"uri": "{{uri}}"}}}
        prompt = {"arguments": [{"name": "uri"}], "messages": [embedded]}
        await rest.call("resources/write", uri=f"resource://erlmcp/prompts/{PROMPT}", content=prompt)
        written = await rest.call("resources/write", uri=uri, content={"n": 2})
        session = await rest.call("sessions/create", label="world")
        key = await rest.call("keys/create", label="world")
        subscription = await rest.call("subscriptions/create", uri=uri)
        rule = await rest.call("access/grant", **grant(f"{tree}*"))
    return World(
        tree=tree,
        uri=uri,
        session=session["id"],
        subscription=subscription["id"],
        key=key["id"],
        rule=rule["id"],
        head=int(written.headers["log-offset"]),
        refresh=family["refresh"],
        password=stack.passwords["admin"],
        token=stack.token("admin"),
    )
