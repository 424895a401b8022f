"""A trail that grows while it is verified is never called bent."""

import random
import threading

import pytest
from django.db import connections

from audit_app.chain.checkpoints import sign_trail
from audit_app.chain.verify import verify
from audit_app.models import AuditEntry, OutboxEntry
from audit_app.mover import move_batch
from tests.audit.conftest import Leave

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])


def test_verification_beside_movers_and_signers_finds_nothing(leave: Leave) -> None:
    leave(10_000)
    failures: list[BaseException] = []

    def move_and_sign() -> None:
        try:
            while OutboxEntry.objects.exclude(entry__contains="audit/checkpoint").exists():
                move_batch()
                sign_trail()
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    workers = [threading.Thread(target=move_and_sign) for _ in range(3)]
    for worker in workers:
        worker.start()
    found = [verify()]
    while any(worker.is_alive() for worker in workers):
        found.append(verify())
    found.append(verify())
    assert failures == []
    assert [report.bent for report in found if report.bent] == []
    assert found[-1].entries == AuditEntry.objects.count() >= 10_000
    assert found[-1].checkpoints > 0


def test_moments_of_every_shape_are_hashed_as_they_are_kept(leave: Leave, dice: random.Random) -> None:
    for _ in range(20):
        leave(timestamp=dice.choice([dice.randint(1, 2**32), dice.uniform(1, 2**32), dice.randint(1, 2**33) / 8]))
    move_batch()
    report = verify()
    assert (report.bent, report.entries) == (None, 20)
