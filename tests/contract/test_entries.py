"""Every method leaves exactly one right entry, on every transport, done or refused (quality 17)."""

import httpx
import pytest

from erlmcp_site.methods import catalogue  # noqa: F401  # fills the table
from erlmcp_site.methods.table import METHODS
from tests.contract.entry_cases import CASES, Case, World, world_of
from tests.contract.left_entries import entries_of, next_agent, only_entry
from tests.stack.agent import TOOLS, Agent, can_call
from tests.stack.answers import Refused
from tests.stack.cluster import Cluster
from tests.stack.database import Entry
from tests.stack.grpc_client import Grpc
from tests.stack.rest import Rest
from tests.stack.sockets import Socket

SECURITY = {"auth", "keys", "access", "sessions", "audit"}
DATA = {"resources", "subscriptions", "events"}
SECURITY_CODES = {"unauthenticated", "refresh_reused", "forbidden", "rate_limited"}
PUSHED = {"resources/subscribe", "resources/unsubscribe", "events/stream", "auth/authenticate"}
"""Only for transports that can push; over REST there is no address for them, or it is that of the event stream."""

OF_AGENTS = {"tools/list", "server/discover"}
"""Words of MCP: whoever calls no tools has no use for what they tell."""

STREAMED = PUSHED - {"events/stream"}
"""What is not there where each stream is a call of its own."""


def test_every_method_of_the_table_has_its_cases() -> None:
    done = {case.method for case in CASES if case.code is None}
    refused = {case.method for case in CASES if case.code is not None}
    names = set(METHODS)
    elsewhere = {"resources/unsubscribe", "telemetry/profile", "events/listen"}
    assert names - done == elsewhere, "in the test of follows, test_profiles, and tests/mcp/test_listen"
    assert names - refused == {"auth/authenticate", "events/listen"}, "those of handshakes, and tests/mcp/test_listen"


async def test_every_method_leaves_one_right_entry(stack: Cluster, transport: str) -> None:
    world = await world_of(stack)
    for case in CASES:
        if case.method in {"rest": PUSHED | OF_AGENTS, "grpc": STREAMED | OF_AGENTS}.get(transport, ()):
            continue
        agent = next_agent()
        code = await _ask(stack, transport, case, world, agent)
        assert code == case.code, f"{case} over {transport}"
        entry = await only_entry(stack, agent, case.method, str(case))
        _check(entry, case.method, case.code, case.user, transport)
        names = case.names(world)
        assert entry["resource_id"] == names or (names == "*" and entry["resource_id"]), f"{case}: {entry}"
        assert entry["resource_type"], entry


async def test_every_method_that_agents_can_call_leaves_one_right_entry(stack: Cluster) -> None:
    world = await world_of(stack)
    cases = [case for case in CASES if can_call(case.method, case.params(world))]
    assert {case.method for case in cases} == {"resources/read", *TOOLS}
    for case in cases:
        agent = next_agent()
        assert await _ask(stack, "mcp", case, world, agent) == case.code, f"{case} over mcp"
        action = case.method if case.code != "unauthenticated" else "unknown"
        entry = await only_entry(stack, agent, action, str(case))
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


async def test_a_poll_whose_client_goes_away_leaves_one_entry(stack: Cluster) -> None:
    world, agent = await world_of(stack), next_agent()
    async with Rest(stack.nodes[0].base, world.token, headers={"User-Agent": agent}) as rest:
        with pytest.raises(httpx.ReadTimeout):
            await rest.request(
                "GET",
                f"events?subscription={world.subscription}&after={world.head}&timeout_ms=60000",
                timeout=httpx.Timeout(60, read=0.5),
            )
    entry = await only_entry(stack, agent, "events/poll", "a poll that nobody waited for")
    assert (entry["outcome"], entry["details"]) == ("refused", {"abandoned": True})


async def test_follows_leave_entries_of_their_beginning_and_their_end(stack: Cluster) -> None:
    world, agent = await world_of(stack), next_agent()
    async with await Socket.connect(stack.nodes[0].base, world.token, headers={"User-Agent": agent}) as socket:
        first, second = [await socket.subscribe(f"{world.tree}*") for _ in range(2)]
        await socket.call("resources/unsubscribe", subscription=first.id)
        assert second.id
    entry = await only_entry(stack, agent, "events/end", "the end of a socket that followed")
    assert (entry["user"], entry["transport"], entry["resource_type"]) == ("admin", "websocket", "connection")
    assert len(await entries_of(stack, agent, "resources/subscribe")) == 2
    assert len(await entries_of(stack, agent, "resources/unsubscribe")) == 1
    agent = next_agent()
    headers = {"User-Agent": agent, "Authorization": f"Bearer {world.token}"}
    async with (
        httpx.AsyncClient(base_url=stack.nodes[0].base, headers=headers, trust_env=False) as http,
        http.stream("GET", f"/api/v1/events/stream?uri={world.uri}") as answer,
    ):
        await anext(answer.aiter_raw())
    beginning = await only_entry(stack, agent, "events/stream", "a stream")
    end = await only_entry(stack, agent, "events/end", "the end of a stream")
    assert (end["user"], end["transport"], end["request_id"]) == ("admin", "sse", beginning["request_id"])
    assert end["session_id"] == beginning["session_id"]


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
