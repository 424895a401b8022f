"""The audit database answers and takes nothing, because it is full or read-only: entries wait, and are moved later."""

from collections.abc import Callable

import pytest
from django.db import DatabaseError, connections

from audit_app.chain.verify import verify
from audit_app.models import AuditEntry, OutboxEntry
from audit_app.mover import move_entries
from tests.audit.conftest import Leave

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])

MANY = "x" * 1000


def told(command: str) -> int:
    """What the audit database answers to a command on the connection of this thread."""
    with connections["audit"].cursor() as cursor:
        cursor.execute(command)
        found = cursor.fetchone() if cursor.description else None
    return int(found[0]) if found else 0


def read_only() -> Callable[[], object]:
    """Let the database take nothing. Returns what undoes it."""
    if connections["audit"].vendor == "sqlite":
        told("PRAGMA query_only = ON")
        return lambda: told("PRAGMA query_only = OFF")
    told("SET default_transaction_read_only = on")
    return lambda: told("RESET default_transaction_read_only")


def full() -> Callable[[], object]:
    """Let the database have no room for the third entry in the tests' size. Returns what undoes it."""
    if connections["audit"].vendor == "sqlite":
        # what other tests have left free is no room either
        told("VACUUM")
        told(f"PRAGMA max_page_count = {told('PRAGMA page_count')}")
        return lambda: told("PRAGMA max_page_count = 4294967294")
    told(
        "CREATE FUNCTION pg_temp.no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.sequence % 50 = 3 THEN RAISE EXCEPTION USING ERRCODE = 'disk_full'; END IF; RETURN NEW; END $$"
    )
    told("CREATE TRIGGER no_room BEFORE INSERT ON audit_app_auditentry FOR EACH ROW EXECUTE FUNCTION pg_temp.no_room()")
    return lambda: told("DROP TRIGGER no_room ON audit_app_auditentry")


@pytest.mark.parametrize("fault", [read_only, full])
def test_entries_wait_and_each_is_moved_once_later(leave: Leave, fault: Callable[[], Callable[[], object]]) -> None:
    leave(5)
    move_entries()
    leave(200, details={"text": MANY})
    undo = fault()
    try:
        for _ in range(3):
            with pytest.raises(DatabaseError):
                move_entries()
            assert OutboxEntry.objects.count() == 200
            assert AuditEntry.objects.count() == 5
    finally:
        undo()
    leave(5)
    assert move_entries() == 205
    assert not OutboxEntry.objects.exists()
    assert AuditEntry.objects.count() == 210
    report = verify()
    assert report.bent is None and report.last == 210
