"""Every request walks the declared graph, and nothing else moves it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erlmcp_site.pipeline.messages import Request
from erlmcp_site.pipeline.passage import Passage
from erlmcp_site.pipeline.stages import NEXT, IllegalStage, Stage

STAGES = st.sampled_from(list(Stage))


def passage() -> Passage:
    return Passage(Request(id="1", method="ping", params={}, transport="rest", timestamp=0.0))


@given(STAGES, STAGES)
def test_only_declared_edges_can_be_walked(here: Stage, there: Stage) -> None:
    walk = passage()
    walk.stage = here
    if there in NEXT[here]:
        walk.enter(there)
        assert walk.stage is there
    else:
        with pytest.raises(IllegalStage):
            walk.enter(there)
        assert walk.stage is here


@given(st.lists(STAGES, max_size=12))
def test_every_walk_ends_after_completed_and_answers_before(wanted: list[Stage]) -> None:
    walk = passage()
    walked = [walk.stage]
    for stage in wanted:
        try:
            walk.enter(stage)
        except IllegalStage:
            continue
        walked.append(stage)
    assert len(walked) == len(set(walked))
    if Stage.COMPLETED in walked:
        assert walked[-2:] == [Stage.RESPONDING, Stage.COMPLETED]
    if Stage.PROCESSING in walked:
        assert walked[:4] == [Stage.RECEIVED, Stage.AUTHENTICATING, Stage.AUTHORIZED, Stage.PROCESSING]


def test_a_refusal_can_be_answered_from_every_stage_before_the_answer() -> None:
    before = set(Stage) - {Stage.RESPONDING, Stage.COMPLETED}
    assert all(Stage.RESPONDING in NEXT[stage] for stage in before)
    assert NEXT[Stage.COMPLETED] == frozenset()


def test_every_stage_that_was_left_has_its_time() -> None:
    walk = passage()
    for stage in (Stage.AUTHENTICATING, Stage.RESPONDING, Stage.COMPLETED):
        walk.enter(stage)
    assert [stage for stage, _ in walk.seconds] == [Stage.RECEIVED, Stage.AUTHENTICATING, Stage.RESPONDING]
    assert all(seconds >= 0 for _, seconds in walk.seconds)
