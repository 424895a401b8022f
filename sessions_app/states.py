"""The states of a session, as a graph (seed §4.1, contract §6).

A plain table rather than django-fsm: what is decided here are records that the writer loads in bulk, and django-fsm
wants a model instance for each, whose save costs more than everything else in a commit.
"""

from enum import StrEnum

from sessions_app.errors import IllegalTransition


class State(StrEnum):
    """Where a session is in its life. A session that is gone has no row any more."""

    INITIALIZING = "initializing"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    TERMINATING = "terminating"
    DEAD = "dead"
    GONE = "gone"


class Reason(StrEnum):
    """Why a session is suspended: `idle` ends with the next activity, `admin` only by an admin."""

    NONE = ""
    IDLE = "idle"
    ADMIN = "admin"


NEXT: dict[State, frozenset[State]] = {
    State.INITIALIZING: frozenset({State.ACTIVE}),
    State.ACTIVE: frozenset({State.SUSPENDED, State.TERMINATING, State.DEAD}),
    State.SUSPENDED: frozenset({State.ACTIVE, State.TERMINATING}),
    State.TERMINATING: frozenset({State.GONE}),
    State.DEAD: frozenset({State.GONE}),
    State.GONE: frozenset(),
}

LIVING = frozenset({State.INITIALIZING, State.ACTIVE, State.SUSPENDED})
"""The states of sessions that callers can still see; the others only wait to be destroyed."""


def step(state: State, to: State) -> State:
    """The state after a transition. Raises IllegalTransition when the graph has no such edge."""
    if to not in NEXT[state]:
        raise IllegalTransition(f"A session that is {state} cannot become {to}.", state=state.value, to=to.value)
    return to
