"""What was stored before there was a chain is in it afterwards."""

import pytest
from django.core.management import call_command
from django.db import connections

from audit_app.models import AuditEntry, TrailHead
from audit_app.mover import move_entries
from tests.audit.conftest import Leave
from tests.audit.test_mover import assert_chained

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])


def test_entries_that_were_stored_before_are_chained(leave: Leave) -> None:
    leave(1_203)
    move_entries()
    expected = TrailHead.objects.get().hash
    call_command("migrate", "audit_app", "0002", database="audit", verbosity=0)
    try:
        with connections["audit"].cursor() as cursor:
            cursor.execute("UPDATE audit_app_auditentry SET prev_hash = NULL, hash = NULL")
            cursor.execute('UPDATE audit_app_auditentry SET details = \'{"n": 1.0, "a": 9007199254740993}\'')
    finally:
        call_command("migrate", "audit_app", database="audit", verbosity=0)
    assert AuditEntry.objects.get(sequence=1_001).details == '{"a":"9007199254740993","n":1}'
    last = assert_chained()
    assert TrailHead.objects.get().hash == last != expected
    leave(1)
    move_entries()
    assert_chained()
