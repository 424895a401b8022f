"""Scenarios at length: what counts as a broken promise."""

from collections.abc import Iterator
from pathlib import Path

from tests.chaos.trials import CUT, Figures, Tried, attempt, row_of
from tests.stack.cluster import Cluster
from tests.stack.database import Database, Truth
from tests.stack.door import Door
from tests.stack.node import Node


def tried(*seconds: float) -> Tried:
    one = Tried(name="somebody is cut", rounds=[{CUT: took} for took in seconds])
    one.judge()
    return one


def test_one_slow_round_breaks_nothing() -> None:
    one = tried(1.5, 0.25)
    assert one.breaches == []
    assert row_of(one) == ["somebody is cut", "2", f"{CUT}: 0.25–1.5 (≤ 1)", "0"]


def test_what_is_late_in_every_round_is_a_broken_promise() -> None:
    (breach,) = tried(1.5, 1.1).breaches
    assert breach.what == f"{CUT}: 1.10, promised 1"


def test_figures_without_a_promise_are_told_only() -> None:
    one = Tried(name="everybody tries everything", rounds=[{"answers looked at": 1e6}])
    one.judge()
    assert one.breaches == []


async def test_what_a_scenario_finds_is_a_broken_promise(tmp_path: Path) -> None:
    """And the rounds after it are done all the same."""
    nowhere = Database("sqlite:///nowhere")
    cluster = Cluster("sqlite", tmp_path, {}, Truth(nowhere, nowhere), {})
    outcomes: Iterator[Figures | None] = iter([None, {CUT: 0.5}])

    async def scenario(cluster: Cluster, door: Door) -> Figures:
        figures = next(outcomes)
        assert figures is not None, "somebody saw too much"
        return figures

    one = await attempt("a scenario", scenario, 2, cluster, Node(tmp_path, {}))
    assert "somebody saw too much" in one.breaches[0].what
    assert one.rounds == [{CUT: 0.5}]
