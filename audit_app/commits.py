"""What became of a transaction whose COMMIT got no answer."""

import time

import orjson
from django.db import DatabaseError, DataError, InterfaceError, connections

from audit_app.models import AuditEntry, OutboxEntry
from audit_app.recovery import WRITES, pauses


def is_committed(using: str, transaction_id: str, entry: str | None) -> bool:
    """Whether a transaction is in the database; asks until the database answers, for `WRITES.retry_seconds` at most.

    `entry` is the text of one of its audit entries, if it has any: a server that has crashed gives the id of a
    transaction that it had not written down to another one, so the entry has to be there, too. Raises nothing: when the
    database stays away the answer is False.
    """
    connection = connections[using]
    for pause in pauses(time.monotonic() + WRITES.retry_seconds):
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_xact_status(%s::text::xid8)", [transaction_id])
                (status,) = cursor.fetchone()
            if status != "in progress":
                return status == "committed" and (entry is None or _is_kept(using, entry))
        except DataError:
            # no transaction has had that id since the server crashed
            return False
        except (DatabaseError, InterfaceError):
            connection.close()
        # bounded, and with jitter: see pauses
        time.sleep(pause)
    return False


def _is_kept(using: str, entry: str) -> bool:
    """Whether an entry waits in the outbox, or has been moved to the trail already."""
    waits = OutboxEntry.objects.using(using).filter(entry=entry).exists()
    return waits or AuditEntry.objects.filter(id=orjson.loads(entry)["id"]).exists()
