"""Does one kind of work so many times, and prints the CPU microseconds each took: `… work KIND COUNT`.

plain: a document is changed and saved. auditlog: the same, and django-auditlog notes it. send: an entry is handed to
Celery, one message each. waiting: how many entries have not been written yet, of so many.
"""

import os
import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import django
from django.apps import apps
from django.core.management import call_command

from benchmarks.peers.audit.worker import write_entry


def saving(model: str) -> Callable[[int], object]:
    document = apps.get_model("audit", model).objects.create(uri="resource://bench/document", content="x" * 500)

    def save(number: int) -> None:
        document.version += 1
        document.content = f"{number:>500}"
        document.save()

    return save


def send(number: int) -> None:
    write_entry.delay(
        {
            "id": str(uuid.uuid4()),
            "timestamp": datetime.now(UTC).isoformat(),
            "user": "alice",
            "action": "resources/read",
            "resource": f"resource://bench/{number % 100}",
            "details": {},
            "source_ip": "127.0.0.1",
            "user_agent": "bench/1.0",
        }
    )


def main(kind: str, count: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.peers.audit.settings")
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    if kind == "waiting":
        print(count - apps.get_model("audit", "Entry").objects.count())
        return
    work = send if kind == "send" else saving({"plain": "Document", "auditlog": "WatchedDocument"}[kind])
    work(0)
    started = time.process_time()
    for number in range(1, count):
        work(number)
    print(1e6 * (time.process_time() - started) / (count - 1))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
