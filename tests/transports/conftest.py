"""What the tests of the transports share."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from tests.transports.http_server import Site, serving_http
from tests.transports.websocket_server import Server, serving


def pytest_asyncio_loop_factories(item: Any) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of a module's tests: one that its `new_event_loop` makes, else asyncio's own."""
    return {"loop": getattr(item.module, "new_event_loop", asyncio.new_event_loop)}


@pytest.fixture
async def server(db: None, settings: Any) -> AsyncIterator[Server]:
    """A running server with a node behind it, on which logging in is quick."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    async with serving() as server:
        yield server


@pytest.fixture
async def site(transactional_db: None, settings: Any) -> AsyncIterator[Site]:
    """The whole application on a running server, on which logging in is quick."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    async with serving_http() as site:
        yield site
