"""Entries for the tests of the trail, left in the outbox by the real writer."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from audit_app.commands import Record
from audit_app.trail import Entry
from audit_app.writer import writer
from tests.audit.receivers import Certificate, SyslogReceiver, WebReceiver, certificate_in

Leave = Callable[..., None]


@pytest.fixture(autouse=True)
def second_place(settings: Settings, tmp_path: Path) -> Path:
    """Keys and checkpoints of this test lie in a folder of its own. Returns the file with the checkpoints."""
    settings.AUDIT_SIGNING_KEY_FILE = tmp_path / "audit_signing_key"
    settings.AUDIT_CHECKPOINT_FILE = tmp_path / "checkpoints.jsonl"
    return tmp_path / "checkpoints.jsonl"


@pytest.fixture
def leave(transactional_db: None) -> Iterator[Leave]:
    """Leave `count` entries in the outbox, the newest last; fields are those of Entry, `details` and `refusal`."""

    def leave_entries(count: int = 1, details: Any = None, refusal: Any = None, **fields: Any) -> None:
        defaults: dict[str, Any] = {"action": "resources/read", "transport": "rest", "timestamp": time.time()} | fields
        records = [
            Record(
                entry=Entry(**{"request_id": f"request-{n}", **defaults}),
                refusal=refusal,
                details={"n": n} if details is None else details,
            )
            for n in range(count)
        ]

        async def submit() -> None:
            await asyncio.gather(*(writer.submit(record) for record in records))

        asyncio.run(submit())

    yield leave_entries
    writer.close()


@pytest.fixture
def web() -> Iterator[WebReceiver]:
    server = WebReceiver()
    yield server
    server.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate_in(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def syslog() -> Iterator[SyslogReceiver]:
    server = SyslogReceiver()
    yield server
    server.close()


@pytest.fixture
def secured(certificate: Certificate) -> Iterator[SyslogReceiver]:
    server = SyslogReceiver(certificate)
    yield server
    server.close()
