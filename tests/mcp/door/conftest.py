"""A node in this process, its users and their tokens."""

import pytest
from django.contrib.auth.models import User

from tests.mcp.door.asking import token_of
from tests.sessions.conftest import running as running
from tests.sessions.conftest import users as users


@pytest.fixture
async def token(running: dict[str, User]) -> str:
    """Alice's, who reads and writes everything."""
    return await token_of("alice")
