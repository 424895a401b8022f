"""A trail that grows while it is verified is never called bent."""

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from audit_app.chain.verify import verify
from audit_app.models import AuditEntry
from audit_app.mover import move_batch
from tests.audit.conftest import Leave
from tests.stack.beside import run_beside

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])


def test_verification_beside_movers_and_signers_finds_nothing(leave: Leave, second_place: Path) -> None:
    leave(10_000)
    found = [verify()]
    with ThreadPoolExecutor(3) as threads:
        # programs of their own: threads would take turns with the verification
        busy = [threads.submit(run_beside, "tests.audit.busy_signers", str(second_place)) for _ in range(3)]
        while not all(one.done() for one in busy):
            found.append(verify())
    found.append(verify())
    assert [one.exception() for one in busy] == [None] * 3
    assert [report.bent for report in found if report.bent] == []
    assert found[-1].entries == AuditEntry.objects.count() >= 10_000
    assert found[-1].checkpoints > 0


def test_moments_of_every_shape_are_hashed_as_they_are_kept(leave: Leave, dice: random.Random) -> None:
    for _ in range(20):
        leave(timestamp=dice.choice([dice.randint(1, 2**32), dice.uniform(1, 2**32), dice.randint(1, 2**33) / 8]))
    move_batch()
    report = verify()
    assert (report.bent, report.entries) == (None, 20)
