"""The SDK's own client in the legacy era, each of whose requests goes to another node (mcp.md, R9)."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import ResourceUpdatedNotification, TextResourceContents

from tests.stack.cluster import Cluster
from tests.stack.waiting import PATIENCE

pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")

NEWEST = "2025-11-25"


class InTurn(httpx2.AsyncBaseTransport):
    """Sends each request to the next node, over a connection of its own."""

    def __init__(self, stack: Cluster) -> None:
        self._nodes = itertools.cycle(stack.nodes)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.url = request.url.copy_with(port=next(self._nodes).port)
        request.headers["host"] = f"127.0.0.1:{request.url.port}"
        return await httpx2.AsyncHTTPTransport().handle_async_request(request)


@asynccontextmanager
async def client_of(stack: Cluster, updates: asyncio.Queue[str]) -> AsyncIterator[Client]:
    """A client of alice, whose updates of resources go into a queue."""

    async def hear(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            updates.put_nowait(str(message.params.uri))

    headers = {"Authorization": f"Bearer {stack.token('alice')}"}
    async with httpx2.AsyncClient(transport=InTurn(stack), headers=headers, timeout=60) as http:
        transport = streamable_http_client(f"{stack.nodes[0].base}/mcp", http_client=http)
        async with Client(transport, mode="legacy", message_handler=hear) as client:
            yield client


async def test_the_client_of_the_sdk_works_on_nodes_that_take_turns(stack: Cluster) -> None:
    uri, updates = f"{stack.tree()}a", asyncio.Queue[str]()
    async with stack.rest("alice") as rest, client_of(stack, updates) as client:
        assert client.protocol_version == NEWEST
        for content in range(6):
            await rest.call("resources/write", uri=uri, content=content)
            read = await client.read_resource(uri)
            assert [one.text for one in read.contents if isinstance(one, TextResourceContents)] == [str(content)]
            assert await client.list_tools()
        await client.subscribe_resource(uri)
        async with asyncio.timeout(PATIENCE):
            heard = ""
            while heard != uri:
                await rest.call("resources/write", uri=uri, content="again")
                try:
                    heard = await asyncio.wait_for(updates.get(), 1)
                except TimeoutError:
                    # its stream is opened while it goes on
                    continue
        await client.unsubscribe_resource(uri)
        with pytest.raises(MCPError):
            await client.read_resource(f"{uri}/missing")
