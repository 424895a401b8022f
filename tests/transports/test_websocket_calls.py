"""Calls over a socket: answers, batches, order, and what becomes of messages that are none."""

from collections.abc import AsyncIterator

import pytest

from tests.transports.websocket_server import Server, serving

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

NOTE = "resource://test.local/notes/1"


@pytest.fixture
async def server(db: None) -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


async def test_a_resource_is_written_and_read(server: Server) -> None:
    async with server.connect() as client:
        written = await client.result("resources/write", uri=NOTE, content={"text": "hello"})
        read = await client.result("resources/read", uri=NOTE)
        assert written["version"] == 1
        assert read["content"] == {"text": "hello"}


async def test_a_ping_is_answered_with_nothing(server: Server) -> None:
    async with server.connect() as client:
        assert await client.result("ping") == {}
