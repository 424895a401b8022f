"""Clients that only start a process reach `/mcp` over its pipes: `manage.py mcp_stdio`, in both eras."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.subscriptions import ResourceUpdated
from mcp_types import JSONRPCNotification, JSONRPCRequest, JSONRPCResponse, ResourceUpdatedNotification

from erlmcp_site.management.stdio.bridge import Conversation
from tests.stack.cluster import Cluster
from tests.stack.node import ROOT
from tests.stack.processes import free_port
from tests.stack.waiting import PATIENCE, eventually

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def process(url: str, folder: Path, token: Path, **environment: str) -> StdioServerParameters:
    """How a client starts the bridge; the token is in a file."""
    return StdioServerParameters(
        command=sys.executable,
        args=["manage.py", "mcp_stdio", "--url", url, "--token-file", str(token)],
        env={"VAR_DIR": str(folder), "LOG_FORMAT": "json", **environment},
        cwd=ROOT,
    )


@pytest.fixture
async def key(embedded: Cluster, tmp_path: Path) -> Path:
    """A file with an API key of alice's."""
    async with embedded.rest("alice") as rest:
        made = await rest.call("keys/create", label="desktop")
    file = tmp_path / "key"
    await anyio.Path(file).write_text(f"{made['key']}\n")
    return file


async def test_a_client_of_the_modern_era_reads_changes_and_listens(
    embedded: Cluster, key: Path, tmp_path: Path
) -> None:
    uri = f"{embedded.tree()}a"
    with anyio.fail_after(2 * PATIENCE):
        # without being told, a client takes one that is slow to start for one of the other era
        started = process(f"{embedded.nodes[0].base}/mcp", tmp_path, key)
        async with Client(started, mode="2026-07-28") as client:
            made = await client.call_tool("resource_create", {"uri": uri, "content": {"é": 1}})
            assert not made.is_error and made.structured_content is not None
            with pytest.raises(MCPError, match="Resource not found"):
                await client.read_resource(f"{uri}/none")
            async with client.listen(resource_subscriptions=[uri]) as stream:
                async with embedded.rest("alice") as rest:
                    await rest.call("resources/write", uri=uri, content={"é": 2})
                assert await anext(aiter(stream)) == ResourceUpdated(uri=uri)
            (read,) = (await client.read_resource(uri)).contents
            assert json.loads(getattr(read, "text", "")) == {"é": 2}
            await anyio.Path(key).write_text("revoked")
            with pytest.raises(MCPError, match="The token is not valid"):
                await client.read_resource(uri)


@pytest.mark.filterwarnings("ignore:resources/subscribe is removed")
async def test_a_client_of_the_era_of_sessions_reads_changes_and_is_told(
    embedded: Cluster, key: Path, tmp_path: Path
) -> None:
    uri = f"{embedded.tree()}a"
    told: list[str] = []

    async def hear(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            told.append(str(message.params.uri))

    with anyio.fail_after(2 * PATIENCE):
        started = process(f"{embedded.nodes[0].base}/mcp", tmp_path, key)
        async with Client(started, mode="legacy", message_handler=hear) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} >= {"resource_create", "resource_update"}
            made = await client.call_tool("resource_create", {"uri": uri, "content": 1})
            assert not made.is_error
            (read,) = (await client.read_resource(uri)).contents
            assert getattr(read, "text", "") == "1"
            await client.subscribe_resource(uri)
            async with embedded.rest("alice") as rest:

                async def is_told() -> bool:
                    # the bridge opens its stream when it likes
                    await rest.call("resources/write", uri=uri, content=2)
                    return bool(told)

                await eventually(is_told, PATIENCE, "an update")
            assert told[0] == uri


async def test_a_server_that_is_away_is_an_error_for_each_request(tmp_path: Path) -> None:
    lines = [
        {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": META}},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": "two", "method": "initialize", "params": {"protocolVersion": "2025-11-25"}},
    ]
    said = "".join(f"{json.dumps(line)}\n" for line in lines) + "no message\n"
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "manage.py", "mcp_stdio", "--url", f"http://127.0.0.1:{free_port()}/mcp"],
        input=said,
        text=True,
        capture_output=True,
        timeout=2 * PATIENCE,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "VAR_DIR": str(tmp_path), "ERLMCP_TOKEN": "erlk_secret", "LOG_FORMAT": "json"},
    )
    assert ended.returncode == 0
    answers = {answer["id"]: answer["error"] for answer in map(json.loads, ended.stdout.splitlines())}
    assert answers.keys() == {1, "two", None}
    assert answers[None]["code"] == -32700
    for id in (1, "two"):
        assert (answers[id]["code"], answers[id]["data"]["code"]) == (-32053, "unavailable")
        assert "does not answer" in answers[id]["message"]
    assert "erlk_secret" not in ended.stdout + ended.stderr


def test_headers_say_what_the_message_says() -> None:
    conversation = Conversation()
    tool = {"name": "mirror", "inputSchema": {"properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}}

    def headers(method: str, **params: Any) -> dict[str, str]:
        request = JSONRPCRequest(jsonrpc="2.0", id=method, method=method, params={"_meta": META, **params})
        return conversation.headers(request)

    version = {"mcp-protocol-version": "2026-07-28"}
    assert headers("tools/list") == version | {"mcp-method": "tools/list"}
    conversation.hear(JSONRPCResponse(jsonrpc="2.0", id="tools/list", result={"tools": [tool]}))
    assert headers("resources/read", uri="resource://a/é") == version | {
        "mcp-method": "resources/read",
        "mcp-name": "=?base64?cmVzb3VyY2U6Ly9hL8Op?=",
    }
    assert headers("tools/call", name="mirror", arguments={"region": "eu"}) == version | {
        "mcp-method": "tools/call",
        "mcp-name": "mirror",
        "Mcp-Param-Region": "eu",
    }


def test_a_session_keeps_the_version_that_was_agreed_on() -> None:
    conversation = Conversation()
    first = JSONRPCRequest(jsonrpc="2.0", id=1, method="initialize", params={"protocolVersion": "2025-11-25"})
    assert conversation.headers(first) == {}
    conversation.hear(JSONRPCResponse(jsonrpc="2.0", id=1, result={"protocolVersion": "2025-06-18"}))
    agreed = {"mcp-protocol-version": "2025-06-18"}
    ready = JSONRPCNotification(jsonrpc="2.0", method="notifications/initialized")
    asked = JSONRPCRequest(jsonrpc="2.0", id=2, method="tools/list")
    answered = JSONRPCResponse(jsonrpc="2.0", id=7, result={})
    assert [conversation.headers(message) for message in (ready, asked, answered)] == [agreed] * 3
