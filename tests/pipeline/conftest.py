"""Users with their permissions, and a node that runs in the loop of the test."""

from tests.sessions.conftest import running, users

__all__ = ["running", "users"]
