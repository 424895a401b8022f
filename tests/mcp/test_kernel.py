"""What erlmcp_site/transports/mcp/kernel.py relies on in the SDK, and may not find in a later one."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp_types import INVALID_PARAMS, METHOD_NOT_FOUND, RequestParams
from pydantic import ValidationError

from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.mcp import kernel
from erlmcp_site.transports.mcp.exchange import Exchange
from tests.stack.mcp_client import CLIENT, VERSION, envelope

LEGACY = "2025-11-25"
READ = {"uri": "resource://host/a"}
ANSWER: Mapping[str, Any] = {
    "resultType": "complete",
    "ttlMs": 0,
    "cacheScope": "private",
    "contents": [{"uri": READ["uri"], "mimeType": "text/plain", "text": "x", "unheard_of": 1}],
}

Context = ServerRequestContext[None, Exchange]


class Channel:
    """Keeps what is sent before a result, and answers every request with the same."""

    def __init__(self, *, can_request: bool) -> None:
        self.can_request = can_request
        self.sent: list[str] = []

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        self.sent.append(method)

    async def request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        self.sent.append(method)
        return {"roots": []}

    async def close(self) -> None:
        self.sent.append("closed")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Context]]:
    """What the handler of reads was given, on a server that has no others."""
    contexts: list[Context] = []

    async def read(context: Context, params: RequestParams) -> Any:
        contexts.append(context)
        return dict(ANSWER)

    alone: Server[None] = Server("tests", version="1")
    alone.middleware.clear()
    alone.add_request_handler("resources/read", RequestParams, read)
    monkeypatch.setattr(kernel, "server", alone)
    yield contexts


async def ask(method: str, params: Mapping[str, Any], version: str = VERSION, channel: Channel | None = None) -> Any:
    """The result of a request of a client of either era."""
    incoming = Incoming({"method": "POST", "path": "/mcp", "query_string": b"", "headers": []})
    exchange = Exchange(incoming=incoming, id=7, version=version, method=method, params=params, channel=channel)
    if version == LEGACY:
        return await kernel.serve_peer(exchange, params, kernel.peer_of(LEGACY, CLIENT, {}))
    asked = {**params, "_meta": envelope()}
    return await kernel.serve(exchange, asked, kernel.modern_connection(VERSION, CLIENT, {}))


async def test_a_handler_is_given_the_exchange_and_the_end_of_its_stream(seen: list[Context]) -> None:
    channel = Channel(can_request=False)
    await ask("resources/read", READ, channel=channel)
    (context,) = seen
    assert isinstance(context.request, Exchange) and (context.request_id, context.request.id) == (7, 7)
    assert context.close_sse_stream is not None
    await context.close_sse_stream()
    assert channel.sent == ["closed"]


async def test_results_are_shaped_as_each_era_has_them(seen: list[Context]) -> None:
    contents = [{name: value for name, value in ANSWER["contents"][0].items() if name != "unheard_of"}]
    modern, legacy = await ask("resources/read", READ), await ask("resources/read", READ, LEGACY)
    stamp = {"io.modelcontextprotocol/serverInfo": {"name": "tests", "version": "1"}}
    assert modern == {**ANSWER, "contents": contents, "_meta": stamp}
    # a client of this era is known from its handshake: it does not have to begin again
    assert legacy == {"contents": contents}


@pytest.mark.parametrize("version", [VERSION, LEGACY])
async def test_what_is_asked_is_checked_before_it_is_handled(seen: list[Context], version: str) -> None:
    with pytest.raises(ValidationError) as bad:
        await ask("resources/read", {"uri": 7}, version)
    told = kernel.error_of(bad.value)
    assert told is not None and told.code == INVALID_PARAMS and "7" not in str(told.data)
    for method in ("no/such", "prompts/list", *(["ping", "resources/subscribe"] if version == VERSION else [])):
        with pytest.raises(MCPError) as missing:
            await ask(method, READ if method == "resources/subscribe" else {}, version)
        assert missing.value.code == METHOD_NOT_FOUND
    assert seen == []


async def test_a_client_is_asked_only_where_its_channel_can(seen: list[Context]) -> None:
    for can_request in (True, False):
        channel = Channel(can_request=can_request)
        await ask("resources/read", READ, LEGACY, channel)
        assert seen[-1].session.can_send_request is can_request
        exchange = seen[-1].request
        assert exchange is not None
        dispatched = kernel.Dispatched(exchange, READ)
        if can_request:
            assert await dispatched.send_raw_request("roots/list", None) == {"roots": []}
        else:
            with pytest.raises(NoBackChannelError):
                await dispatched.send_raw_request("roots/list", None)
        assert channel.sent == ["roots/list"] * can_request


def test_what_a_handler_raises_beside_its_errors_is_told_to_nobody() -> None:
    assert kernel.error_of(RuntimeError("a secret")) is None


def test_a_handshake_that_is_none_is_found_out() -> None:
    for params in (None, {}, {"protocolVersion": 1, "capabilities": {}, "clientInfo": CLIENT}):
        with pytest.raises(ValidationError):
            kernel.handshake_of(params)


def test_the_sdk_traces_nothing_of_its_own() -> None:
    assert [type(one).__name__ for one in kernel.server.middleware if "Telemetry" in type(one).__name__] == []
