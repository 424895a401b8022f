"""Who may call which method on which resource, over every transport: every method, every user, every verb (quality 23).

The users have what their rules say and nothing else. What each method needs stands here apart from the code under test.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import product
from typing import Any, NamedTuple

from tests.stack.agent import Agent, can_call
from tests.stack.answers import Refused
from tests.stack.cluster import Cluster
from tests.stack.door import Client, Door, client
from tests.stack.sse import follow
from tests.stack.waiting import PATIENCE, eventually


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


@asynccontextmanager
async def field_of(cluster: Cluster) -> AsyncIterator[Field]:
    """A part of the tree where every user of the matrix has its rules, as all nodes know; they go with the context."""
    names = [f"matrix-{name}" for name in USERS]
    if names[0] not in cluster.passwords:
        cluster.add_users(*names)
    made = Field(cluster.tree())
    async with cluster.rest("admin") as admin:
        rules = []
        for name, verbs in USERS.items():
            if verbs:
                for pattern, effect in ((f"{made.tree}open/*", "allow"), (made.uri("open/shut"), "deny")):
                    params = {"user": f"matrix-{name}", "pattern": pattern, "verbs": list(verbs), "effect": effect}
                    rules.append((await admin.call("access/grant", **params))["id"])
        for name in ("open/a", "open/shut", "apart"):
            for content in (1, 2):
                written = await admin.call("resources/write", uri=made.uri(name), content=content)
        await eventually(partial(_is_known, cluster, made), PATIENCE, "every node knows the rules")
        await be_known(cluster, written["offset"], made)
        yield made
        for rule in rules:
            await admin.call("access/revoke", rule=rule)


async def _is_known(cluster: Cluster, field: Field) -> bool:
    # nodes hear of rules in order, so that of the last user tells
    user = f"matrix-{list(USERS)[-1]}"
    for node in cluster.nodes:
        async with node.rest(cluster.token("admin")) as admin:
            for place, is_open in {"open/a": True, "open/shut": False}.items():
                told = await admin.call("access/explain", user=user, uri=field.uri(place))
                if told["verbs"]["read"]["allowed"] is not is_open:
                    return False
    return True


async def be_known(cluster: Cluster, offset: int, field: Field) -> None:
    """Wait until whichever node is asked has seen the log up to there."""
    for node in cluster.nodes:
        async with node.rest(cluster.token("admin")) as admin:
            await admin.call("resources/read", {"Read-After": str(offset)}, uri=field.uri("apart"))


async def told(client: Client, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """What a caller learns of a call: nothing of interest, or the whole refusal but what names the request itself."""
    try:
        await client.call(method, **params)
    except Refused as refused:
        data = {name: value for name, value in refused.data.items() if name not in {"request_id", "uri", "instance"}}
        return {"code": refused.code, "number": refused.number, **data}
    return {"code": None}


async def walk_methods(cluster: Cluster, door: Door, transport: str, field: Field) -> int:
    """Every method, by every user, where it may and where it may not. Returns how many answers were looked at."""
    looked_at = 0
    async with cluster.rest("admin") as admin:
        for name, verbs in USERS.items():
            token = cluster.token(f"matrix-{name}")
            opened = Agent(door, token) if transport == "mcp" else client(door, transport, token)
            async with opened as caller:
                for method, call in ((method, call) for method, calls in ON_RESOURCES.items() for call in calls):
                    if transport == "mcp" and not can_call(method, call.params(field.tree)):
                        continue
                    if call.pushes and (transport != "websocket" or method == "events/stream"):
                        continue
                    code = await _walk(caller, method, call, verbs, field, f"{name} {method} over {transport}")
                    looked_at += 5
                    if call.verb == "delete" and code is None:
                        written = await admin.call("resources/write", uri=field.uri("open/a"), content=1)
                        await be_known(cluster, written["offset"], field)
    return looked_at


async def _walk(
    client: Client, method: str, call: Call, verbs: tuple[str, ...], field: Field, where: str
) -> str | None:
    """One call by one user: unknown and forbidden are told alike. Returns the code where the user may read."""
    unknown = {
        place: await told(client, method, call.params(field.uri(place)))
        for place in ("open/shut", "apart", "never", "open/shut")
    }
    for place, refusal in unknown.items():
        assert refusal["code"] == "resource_not_found", (where, place, refusal)
        assert refusal == unknown["never"], (where, place)
    code: str | None = (await told(client, method, call.params(field.uri("open/a"))))["code"]
    if "read" not in verbs:
        assert code == "resource_not_found", where
    elif call.verb not in verbs:
        assert code == "forbidden", where
    else:
        assert code in {None, "already_exists", "resource_not_found", "patch_failed"}, where
        assert code is None or method in {"resources/create", "resources/patch"}, (where, code)
    return code


PATTERNS = {
    "*": False,
    "+": False,
    "open/*": False,
    "open/+": False,
    "open/in/*": True,
    "open/in/+": True,
    "open/shut/*": True,
    "apart/*": False,
}
"""Whether all of a pattern is open."""


async def walk_patterns(cluster: Cluster, door: Door, transport: str, field: Field) -> int:
    """Following of patterns, by every user. Returns how many answers were looked at."""
    methods = ["subscriptions/create", *(["resources/subscribe"] if transport == "websocket" else [])]
    looked_at = 0
    for name, verbs in USERS.items():
        async with client(door, transport, cluster.token(f"matrix-{name}")) as caller:
            for method, (place, is_open) in product(methods, PATTERNS.items()):
                code = (await told(caller, method, {"uri": field.uri(place)}))["code"]
                assert code == _due(verbs, is_open), (name, method, place)
                looked_at += 1
    return looked_at


async def walk_streams(cluster: Cluster, door: Door, field: Field) -> int:
    """Server-sent events and the stream of gRPC, by every user. Returns how many answers were looked at."""
    looked_at = 0
    for name, verbs in USERS.items():
        token = cluster.token(f"matrix-{name}")
        async with door.rest(token) as rest, door.grpc(token) as grpc:
            for place, is_open in {"open/a": True, "open/in/*": True, "open/*": False, "apart": False}.items():
                for opening in (partial(follow, rest), grpc.follow):
                    code = None
                    try:
                        async with AsyncExitStack() as streams:
                            await streams.enter_async_context(opening(uri=field.uri(place)))
                    except Refused as refused:
                        code = refused.code
                    assert code == _due(verbs, is_open), (name, place)
                    looked_at += 1
    return looked_at


async def walk_lists(cluster: Cluster, door: Door, transport: str, field: Field) -> int:
    """Lists, by every user, show what may be read and nothing else. Returns how many were looked at."""
    for name, verbs in USERS.items():
        async with client(door, transport, cluster.token(f"matrix-{name}")) as caller:
            listed = (await caller.call("resources/list", prefix=field.tree))["resources"]
            assert [one["uri"] for one in listed] == ([field.uri("open/a")] if "read" in verbs else []), name
            everywhere = (await caller.call("resources/list"))["resources"]
            assert [one["uri"] for one in everywhere] == [one["uri"] for one in listed], name
            for sought in ({"prefix": field.tree}, {"text": field.tree}, {"path": "$", "prefix": field.tree}):
                found = await _searched(caller, sought)
                assert found == [one["uri"] for one in listed], (name, sought)
    return 5 * len(USERS)


async def _searched(caller: Client, sought: Mapping[str, str]) -> list[str]:
    """All that is found: a page of a search may end early."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await caller.call("resources/search", **sought, **cursor)
        found += [one["uri"] for one in page["resources"]]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


def _due(verbs: tuple[str, ...], is_open: bool) -> str | None:
    """The code that whoever wants to follow has to get."""
    if not is_open or "read" not in verbs:
        return "resource_not_found"
    return None if "subscribe" in verbs else "forbidden"
