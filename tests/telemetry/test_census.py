"""Counts of what the databases hold."""

import time

import pytest
from prometheus_client import REGISTRY

from audit_app.commands import Record
from audit_app.trail import Entry
from audit_app.writer import writer
from erlmcp_site.census import Census


@pytest.mark.django_db(transaction=True, databases=["default", "audit"])
async def test_waiting_entries_are_counted_by_queue_with_their_age() -> None:
    for action in ("auth/login", "resources/read", "resources/list"):
        await writer.submit(Record(entry=Entry(timestamp=time.time() - 60, action=action, transport="rest")))
    await Census().take()
    pending = {queue: REGISTRY.get_sample_value("erlmcp_audit_pending", {"queue": queue}) for queue in QUEUES}
    assert pending == {"security": 1, "data": 2, "system": 0}
    assert (REGISTRY.get_sample_value("erlmcp_audit_lag_seconds", {"queue": "data"}) or 0) >= 60
    assert REGISTRY.get_sample_value("erlmcp_sessions", {"state": "active"}) == 0


QUEUES = ("security", "data", "system")
