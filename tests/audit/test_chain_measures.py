"""What a scrape tells of the trail: how far it is, how far it is signed, and whether its end is still there."""

import pytest
from django.db import connections
from prometheus_client import REGISTRY

from audit_app.chain.checkpoints import sign_trail
from audit_app.chain.measures import measure_trail, read_witness
from audit_app.models import AuditEntry
from audit_app.mover import move_entries
from tests.audit.conftest import Leave

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])


@pytest.fixture
def trail(leave: Leave) -> None:
    """Five entries, of which three are signed."""
    for count, is_signed in ((3, True), (2, False)):
        leave(count, action="resources/write")
        move_entries()
        if is_signed:
            assert sign_trail() is not None


def told(name: str, **labels: str) -> float | None:
    measure_trail(read_witness())
    return REGISTRY.get_sample_value(f"erlmcp_trail_{name}", labels)


def is_bent() -> bool:
    return told("bent", found_by="witness") == 1


def sql(query: str) -> None:
    with connections["audit"].cursor() as cursor:
        cursor.execute(query)


def test_an_empty_trail_is_none_that_was_bent() -> None:
    assert (is_bent(), told("head")) == (False, 0)


def test_how_far_it_is_and_how_far_signed(trail: None) -> None:
    last = AuditEntry.objects.order_by("-sequence").values_list("sequence", flat=True)[0]
    assert (is_bent(), told("head"), told("signed")) == (False, last, 3)


@pytest.mark.parametrize(
    "bending",
    [
        "DELETE FROM audit_app_auditentry WHERE sequence = (SELECT MAX(sequence) FROM audit_app_auditentry)",
        "UPDATE audit_app_auditentry SET hash = 'other'",
        "UPDATE audit_app_trailhead SET head = head - 1",
    ],
)
def test_an_end_that_is_not_what_was_written_is_told(trail: None, bending: str) -> None:
    sql(bending)
    assert is_bent()


def test_entries_that_have_all_left_for_the_archive_are_not_missed(trail: None) -> None:
    sql("DELETE FROM audit_app_auditentry")
    assert not is_bent()
