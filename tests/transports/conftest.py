"""What the tests of the transports share."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
import uvloop

from tests.transports.http_server import Site, serving_http
from tests.transports.websocket_server import Server, serving


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that serves. asyncio's own never pauses a protocol in `writelines` before 3.12.9 and 3.13.2.

    That is CVE-2024-12254.
    """
    return {"uvloop": uvloop.new_event_loop}


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
