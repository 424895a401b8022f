"""Clients of MCP for the users of the stack, and the application in this process."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.mcp.legacy_client import Clients, clients_of
from tests.stack.cluster import Cluster
from tests.stack.mcp_client import Mcp
from tests.transports.http_server import Site, serving_http


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


@pytest.fixture
async def site(transactional_db: None, settings: Any) -> AsyncIterator[Site]:
    """The whole application on a running server in this process, on which logging in is quick."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    async with serving_http() as site:
        yield site


@pytest.fixture
async def clients(stack: Cluster) -> AsyncIterator[Clients]:
    """Makes clients of the era of sessions."""
    async with clients_of(stack) as make:
        yield make
