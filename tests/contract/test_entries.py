"""Every method leaves exactly one right entry, on every transport, done or refused (quality 17)."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from erlmcp_site.methods import catalogue  # noqa: F401  # fills the table
from erlmcp_site.methods.table import METHODS
from tests.stack.agent import TOOLS, Agent, can_call
from tests.stack.answers import Refused
from tests.stack.cluster import Cluster
from tests.stack.database import Entry
from tests.stack.grpc_client import Grpc
from tests.stack.rest import Rest
from tests.stack.sockets import Socket
from tests.stack.waiting import eventually

SECURITY = {"auth", "keys", "access", "sessions", "audit"}
DATA = {"resources", "subscriptions", "events"}
SECURITY_CODES = {"unauthenticated", "refresh_reused", "forbidden", "rate_limited"}
PUSHED = {"resources/subscribe", "resources/unsubscribe", "events/stream", "auth/authenticate"}
"""Only for transports that can push; over REST there is no address for them, or it is that of the event stream."""

OF_AGENTS = {"tools/list", "server/discover"}
"""Words of MCP: whoever calls no tools has no use for what they tell."""

STREAMED = PUSHED - {"events/stream"}
"""What is not there where each stream is a call of its own."""

_agents = itertools.count(1)


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


def test_every_method_of_the_table_has_its_cases() -> None:
    done = {case.method for case in CASES if case.code is None}
    refused = {case.method for case in CASES if case.code is not None}
    names = set(METHODS)
    elsewhere = {"resources/unsubscribe", "telemetry/profile", "events/listen"}
    assert names - done == elsewhere, "in the test of follows, test_profiles, and tests/mcp/test_listen"
    assert names - refused == {"auth/authenticate", "events/listen"}, "those of handshakes, and tests/mcp/test_listen"


async def test_every_method_leaves_one_right_entry(stack: Cluster, transport: str) -> None:
    world = await _world(stack)
    for case in CASES:
        if case.method in {"rest": PUSHED | OF_AGENTS, "grpc": STREAMED | OF_AGENTS}.get(transport, ()):
            continue
        agent = f"entries/{next(_agents)}"
        code = await _ask(stack, transport, case, world, agent)
        assert code == case.code, f"{case} over {transport}"
        entry = await _only(stack, agent, case.method, str(case))
        _check(entry, case.method, case.code, case.user, transport)
        names = case.names(world)
        assert entry["resource_id"] == names or (names == "*" and entry["resource_id"]), f"{case}: {entry}"
        assert entry["resource_type"], entry


async def test_every_method_that_agents_can_call_leaves_one_right_entry(stack: Cluster) -> None:
    world = await _world(stack)
    cases = [case for case in CASES if can_call(case.method, case.params(world))]
    assert {case.method for case in cases} == {"resources/read", *TOOLS}
    for case in cases:
        agent = f"entries/{next(_agents)}"
        assert await _ask(stack, "mcp", case, world, agent) == case.code, f"{case} over mcp"
        action = case.method if case.code != "unauthenticated" else "unknown"
        entry = await _only(stack, agent, action, str(case))
        if case.code != "unauthenticated":
            _check(entry, case.method, case.code, case.user, "mcp")
            assert entry["resource_id"] == case.names(world), entry
            assert entry["details"]["client"] == "tests", entry


def _check(entry: Entry, method: str, code: str | None, user: str | None, transport: str) -> None:
    family = method.partition("/")[0]
    is_security = family in SECURITY or code in SECURITY_CODES
    assert entry["queue"] == (1 if is_security else 2 if family in DATA else 3), entry
    assert (entry["outcome"], entry["code"] or None) == ("refused" if code else "success", code), entry
    assert (entry["source_ip"], entry["transport"]) == ("127.0.0.1", transport), entry
    assert bool(entry["user_id"]) == (user is not None), entry
    if method != "auth/revoke":
        assert entry["user"] == (user or ""), entry
    if user is not None and family not in {"auth"}:
        assert entry["session_id"], entry
    assert entry["request_id"], entry


@pytest.mark.parametrize(
    ("verb", "path", "options", "code", "action"),
    [
        ("POST", "auth/login", {"content": b"{"}, "parse_error", "auth/login"),
        ("POST", "auth/login", {"content": b"[]"}, "invalid_request", "auth/login"),
        ("PUT", "resources/example.com/a", {"content": b"{"}, "parse_error", "resources/write"),
        ("PUT", "resources/example.com/a", {"content": b"x" * 3_000_000}, "too_large", "resources/write"),
        ("PATCH", "resources/example.com/a", {"content": b"{}"}, "unsupported_media_type", "resources/patch"),
        ("GET", "resources/example.com/a?raw=maybe", {}, "invalid_params", "resources/read"),
        ("POST", "resources/example.com/a", {}, "method_not_allowed", "unknown"),
        ("DELETE", "auth/login", {}, "method_not_allowed", "unknown"),
        ("GET", "nothing/here", {}, "method_not_found", "unknown"),
        ("GET", "resources", {"headers": {"Host": "evil.example"}}, "invalid_request", "unknown"),
        ("GET", "events/stream?uri=nowhere", {}, "invalid_uri", "events/stream"),
    ],
)
async def test_what_cannot_be_read_leaves_one_entry_of_its_caller(
    stack: Cluster, verb: str, path: str, options: dict[str, Any], code: str, action: str
) -> None:
    for user in ("bob", None):
        agent = f"entries/{next(_agents)}"
        async with Rest(stack.nodes[0].base, stack.token(user) if user else None) as rest:
            more = options | {"headers": {"User-Agent": agent, **options.get("headers", {})}}
            answer = await rest.request(verb, path, **more)
        if action == "events/stream" and user is None:
            code = "unauthenticated"
        assert answer.json()["code"] == code
        entry = await _only(stack, agent, action, code)
        assert (entry["user"], entry["code"], entry["outcome"]) == (user or "", code, "refused")
        assert entry["transport"] == ("sse" if action == "events/stream" else "rest")
        if action != "events/stream":
            address = f"{verb} /api/v1/{path.partition('?')[0]}"
            assert (entry["resource_type"], entry["resource_id"]) == ("address", address)
        assert entry["request_id"] == answer.headers["request-id"]


@pytest.mark.parametrize(
    ("text", "code", "action"),
    [
        ("{", "parse_error", "unknown"),
        ("[]", "invalid_request", "unknown"),
        ('{"jsonrpc":"1.0","id":1,"method":"ping"}', "invalid_request", "unknown"),
        ('{"jsonrpc":"2.0","id":1,"method":"no/such"}', "method_not_found", "no/such"),
        ('{"jsonrpc":"2.0","id":1,"method":"auth/authenticate","params":{}}', "invalid_params", "auth/authenticate"),
    ],
)
async def test_a_message_that_is_no_call_leaves_one_entry_of_its_caller(
    stack: Cluster, text: str, code: str, action: str
) -> None:
    agent = f"entries/{next(_agents)}"
    headers = {"Authorization": f"Bearer {stack.token('bob')}", "User-Agent": agent}
    async with _connect(stack, headers) as socket:
        await socket.send(text)
        assert code in str(await socket.recv())
    entry = await _only(stack, agent, action, code, refused=True)
    assert (entry["user"], entry["code"], entry["transport"]) == ("bob", code, "websocket")
    assert entry["session_id"]


async def test_a_message_that_is_too_large_leaves_one_entry(stack: Cluster) -> None:
    agent = f"entries/{next(_agents)}"
    headers = {"Authorization": f"Bearer {stack.token('bob')}", "User-Agent": agent}
    async with _connect(stack, headers) as socket:
        await socket.send("x" * 70_000)
        await socket.wait_closed()
    entry = await _only(stack, agent, "unknown", "too_large")
    assert (entry["user"], entry["code"]) == ("bob", "too_large")


@pytest.mark.parametrize(
    ("path", "headers", "status", "code", "action"),
    [
        ("/ws/v1", {"Origin": "https://evil.example"}, 403, "forbidden", "auth/authenticate"),
        ("/ws/v1", {}, 401, "unauthenticated", "auth/authenticate"),
        ("/ws/v1", {"Authorization": "Bearer a.b.c"}, 401, "unauthenticated", "auth/authenticate"),
        ("/ws/v2", {}, 404, "method_not_found", "unknown"),
    ],
)
async def test_a_refused_handshake_leaves_one_entry(
    stack: Cluster, path: str, headers: dict[str, str], status: int, code: str, action: str
) -> None:
    agent = f"entries/{next(_agents)}"
    with pytest.raises(InvalidStatus) as refused:
        async with _connect(stack, headers | {"User-Agent": agent}, path):
            pass
    assert refused.value.response.status_code == status
    entry = await _only(stack, agent, action, code)
    assert (entry["code"], entry["transport"], entry["source_ip"]) == (code, "websocket", "127.0.0.1")


async def test_a_poll_whose_client_goes_away_leaves_one_entry(stack: Cluster) -> None:
    world, agent = await _world(stack), f"entries/{next(_agents)}"
    async with Rest(stack.nodes[0].base, world.token, headers={"User-Agent": agent}) as rest:
        with pytest.raises(httpx.ReadTimeout):
            await rest.request(
                "GET",
                f"events?subscription={world.subscription}&after={world.head}&timeout_ms=60000",
                timeout=httpx.Timeout(60, read=0.5),
            )
    entry = await _only(stack, agent, "events/poll", "a poll that nobody waited for")
    assert (entry["outcome"], entry["details"]) == ("refused", {"abandoned": True})


async def test_follows_leave_entries_of_their_beginning_and_their_end(stack: Cluster) -> None:
    world, agent = await _world(stack), f"entries/{next(_agents)}"
    async with await Socket.connect(stack.nodes[0].base, world.token, headers={"User-Agent": agent}) as socket:
        first, second = [await socket.subscribe(f"{world.tree}*") for _ in range(2)]
        await socket.call("resources/unsubscribe", subscription=first.id)
        assert second.id
    entry = await _only(stack, agent, "events/end", "the end of a socket that followed")
    assert (entry["user"], entry["transport"], entry["resource_type"]) == ("admin", "websocket", "connection")
    assert len(await _entries(stack, agent, "resources/subscribe")) == 2
    assert len(await _entries(stack, agent, "resources/unsubscribe")) == 1
    agent = f"entries/{next(_agents)}"
    headers = {"User-Agent": agent, "Authorization": f"Bearer {world.token}"}
    async with (
        httpx.AsyncClient(base_url=stack.nodes[0].base, headers=headers, trust_env=False) as http,
        http.stream("GET", f"/api/v1/events/stream?uri={world.uri}") as answer,
    ):
        await anext(answer.aiter_raw())
    beginning = await _only(stack, agent, "events/stream", "a stream")
    end = await _only(stack, agent, "events/end", "the end of a stream")
    assert (end["user"], end["transport"], end["request_id"]) == ("admin", "sse", beginning["request_id"])
    assert end["session_id"] == beginning["session_id"]


async def _world(stack: Cluster) -> World:
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


async def _ask(stack: Cluster, transport: str, case: Case, world: World, agent: str) -> str | None:
    """The code of the refusal, None when it was done. Over WebSocket nobody is a page of ours without a token."""
    token, base, params = stack.token(case.user) if case.user else None, stack.nodes[0].base, dict(case.params(world))
    try:
        if transport == "rest":
            async with Rest(base, token, headers={"User-Agent": agent}) as rest:
                await rest.call(case.method, **params)
        elif transport == "mcp":
            async with Agent(stack.nodes[0], token, agent) as caller:
                await caller.call(case.method, **params)
        elif transport == "grpc":
            async with Grpc(stack.nodes[0].grpc_address, token, agent=agent) as grpc:
                await grpc.call(case.method, **params)
        else:
            headers = {"User-Agent": agent} | ({} if token else {"Origin": base})
            async with await Socket.connect(base, token, headers=headers) as socket:
                await socket.call(case.method, **params)
    except Refused as refused:
        return refused.code
    return None


def _connect(stack: Cluster, headers: Mapping[str, str], path: str = "/ws/v1") -> connect:
    told = dict(headers)
    agent = told.pop("User-Agent")
    url = stack.nodes[0].base.replace("http", "ws") + path
    return connect(url, additional_headers=told, user_agent_header=agent, proxy=None, open_timeout=20)


async def _only(stack: Cluster, agent: str, action: str, what: str, *, refused: bool = False) -> Entry:
    """The one entry of an action that a client has left; it left no other but of its login to a socket and its end."""
    await eventually(lambda: _entries(stack, agent, action), 30, f"an entry of {what}")
    found = await _entries(stack, agent, action)
    if refused:
        found = [entry for entry in found if entry["outcome"] != "success"]
    assert len(found) == 1, f"{what}: {found}"
    others = {entry["action"] for entry in stack.truth.entries_by(agent)} - {action, "auth/authenticate"}
    assert others <= {"events/end", "events/stream", "resources/subscribe", "resources/unsubscribe"}, (what, others)
    return found[0]


async def _entries(stack: Cluster, agent: str, action: str) -> list[Entry]:
    entries = [entry for entry in stack.truth.entries_by(agent) if entry["action"] == action]
    if action == "auth/authenticate" and len(entries) == 2:
        # the first one opened the socket
        return [max(entries, key=lambda entry: entry["id"])]
    return entries
