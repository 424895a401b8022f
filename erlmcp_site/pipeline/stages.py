"""The stages that every request walks, as a graph (seed §3.1)."""

from enum import StrEnum


class Stage(StrEnum):
    """Where a request is on its walk."""

    RECEIVED = "received"
    AUTHENTICATING = "authenticating"
    AUTHORIZED = "authorized"
    PROCESSING = "processing"
    RESPONDING = "responding"
    COMPLETED = "completed"


NEXT: dict[Stage, frozenset[Stage]] = {
    Stage.RECEIVED: frozenset({Stage.AUTHENTICATING, Stage.RESPONDING}),
    Stage.AUTHENTICATING: frozenset({Stage.AUTHORIZED, Stage.RESPONDING}),
    Stage.AUTHORIZED: frozenset({Stage.PROCESSING, Stage.RESPONDING}),
    Stage.PROCESSING: frozenset({Stage.RESPONDING}),
    Stage.RESPONDING: frozenset({Stage.COMPLETED}),
    Stage.COMPLETED: frozenset(),
}


class IllegalStage(RuntimeError):
    """A request was moved to a stage that the graph does not allow from where it was: a defect of ours."""
