"""Users with their permissions, and a node that runs in the loop of the test."""

import pytest
from django.contrib.auth.models import User

from tests.pipeline.callers import HERE, HIDDEN, Callers
from tests.pipeline.calls import body, token_of
from tests.sessions.conftest import running, users

__all__ = ["running", "users"]


@pytest.fixture
async def callers(running: dict[str, User]) -> Callers:
    """Everybody, and what they may be let do something to."""
    made = Callers({name: await token_of(name) for name in ("root", "alice", "bob", "new")})
    for uri in (HERE, HIDDEN, f"{HERE}/a", f"{HERE}/b"):
        body(await made.ask("alice", "resources/write", uri=uri, content=1))
    return made
