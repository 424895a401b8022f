"""Clients of MCP for the users of the stack."""

from collections.abc import AsyncIterator

import pytest

from tests.stack.cluster import Cluster
from tests.stack.mcp_client import Mcp


@pytest.fixture
def tree(stack: Cluster) -> str:
    """A prefix of URIs that no other test uses."""
    return stack.tree()


@pytest.fixture
async def alice(stack: Cluster) -> AsyncIterator[Mcp]:
    """Reads, writes, deletes and subscribes everywhere."""
    async with Mcp(stack.nodes[0].base, stack.token("alice")) as client:
        yield client


@pytest.fixture
async def bob(stack: Cluster) -> AsyncIterator[Mcp]:
    """Reads and subscribes everywhere."""
    async with Mcp(stack.nodes[0].base, stack.token("bob")) as client:
        yield client
