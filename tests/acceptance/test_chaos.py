"""Two nodes behind HAProxy, struck in every way while clients of every transport are at work (quality 1, 6, 7, 9, 12).

What is judged stands in tests/chaos/verdict.py, what is done in tests/chaos/faults.py; `make chaos` does more of it.
"""

import random
from collections.abc import Iterator

import pytest

from tests.chaos.engine import Load, Run
from tests.chaos.faults import CLOCK, FAKETIME, FAULTS
from tests.chaos.system import System, system
from tests.stack.missing import missing

LONG_FORM_ONLY = {
    *("nothing", "Redis hangs", "PostgreSQL restarted", "web process killed", "Celery worker killed"),
    *("a node without Redis, cut", "a node without PostgreSQL, cut", "a node without gateway, cut"),
}
"""They are milder kinds of others, or other tests of this folder do them to nodes without a gateway."""

pytestmark = pytest.mark.timeout(400)
"""All waits end earlier, and say what they waited for."""


@pytest.fixture(scope="module")
def struck() -> Iterator[System]:
    """A system that is there to be struck."""
    with system() as parts:
        yield parts


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in LONG_FORM_ONLY])
async def test_nobody_loses_anything(struck: System, fault: str, dice: random.Random) -> None:
    """No gap, no inversion, no lost or doubled change, on any client; and everybody catches up."""
    if fault == CLOCK and FAKETIME is None:
        missing("a clock is stepped with Debian's package faketime")
    report = await Run(struck, dice.randrange(2**32), Load()).strike([fault])
    print(report)  # noqa: T201
    assert report.breaches == []
    assert report.unknown == 0
    assert report.codes <= {"unavailable", "deadline_exceeded", "version_conflict"}


async def test_followers_that_are_cut_again_and_again_miss_nothing(struck: System, dice: random.Random) -> None:
    report = await Run(struck, dice.randrange(2**32), Load()).strike([], cuts=40)
    print(report)  # noqa: T201
    assert report.breaches == []
    assert report.connections > report.followers


def test_the_trail_verifies_after_all_that(struck: System) -> None:
    assert "entries in order" in struck.cluster.nodes[0].manage("audit", "verify")
