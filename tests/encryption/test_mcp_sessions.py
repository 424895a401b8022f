"""What a client of MCP says of itself is kept encrypted where a rule says so of sessions, and serves all the same."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pytest_django import Settings

from audit_app.database import in_database
from encryption_app.policy import SESSIONS, Rule
from erlmcp_site.transports.mcp.legacy.handshakes import KEY, Handshakes, handshakes
from sessions_app.models import Session
from sessions_app.sessions import forget
from tests.encryption.conftest import start_over
from tests.mcp.legacy_client import Legacy
from tests.transports.http_server import Site, serving_http


@pytest.fixture
async def site(transactional_db: None, encrypting: None, settings: Settings) -> AsyncIterator[Site]:
    settings.ENCRYPT = (Rule(SESSIONS, "local"),)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    async with serving_http() as site:
        yield site


async def test_a_handshake_is_in_an_envelope_and_found_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Legacy([str(site.http.base_url).rstrip("/")], (await site.log_in("alice"))["access"])
    await client.begin()
    row: Any = await in_database(lambda: Session.objects.get(id=client.id))
    assert row.sealed and row.client_id == "" and KEY not in row.metadata
    # as on a node that has not heard of the session
    monkeypatch.setattr(handshakes, "_held", Handshakes()._held)
    start_over()
    forget()
    assert await client.ask("logging/setLevel", {"level": "error"}) == {}
    row = await in_database(lambda: Session.objects.get(id=client.id))
    assert row.sealed and KEY not in row.metadata
    shown = (await site.ask("GET", f"sessions/{client.id}")).json()
    assert (shown["metadata"][KEY]["log_level"], shown["client_id"]) == ("error", "tests")
    assert (await client.end()).status_code == 200
    await client.close()
