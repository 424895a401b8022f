"""What the tests of the transports share."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.transports.websocket_server import Server, serving


@pytest.fixture
async def server(db: None, settings: Any) -> AsyncIterator[Server]:
    """A running server with a node behind it, on which logging in is quick."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    async with serving() as server:
        yield server
