"""What a session becomes along an edge of the graph, and how every node is told (seed §4)."""

from dataclasses import replace
from datetime import datetime

from resources_app.log.control import ControlEvent
from sessions_app.records import SessionRecord
from sessions_app.states import Reason, State, step

KINDS = {
    (State.INITIALIZING, State.ACTIVE): "session.ready",
    (State.ACTIVE, State.SUSPENDED): "session.suspended",
    (State.SUSPENDED, State.ACTIVE): "session.resumed",
    (State.ACTIVE, State.TERMINATING): "session.closed",
    (State.SUSPENDED, State.TERMINATING): "session.closed",
    (State.ACTIVE, State.DEAD): "session.dead",
}
"""The control event that tells every node of a transition."""

UPDATED = "session.updated"
"""The kind of the event of a session that knows something else now."""


def moved(before: SessionRecord, to: State, reason: Reason, at: datetime) -> tuple[SessionRecord, ControlEvent]:
    """A session in its next state, and the event of that. Raises IllegalTransition."""
    after = replace(before, state=step(before.state, to), reason=reason)
    if after.state is State.ACTIVE:
        after.last_active_at = at
    return after, told(KINDS[before.state, after.state], after)


def told(kind: str, after: SessionRecord) -> ControlEvent:
    """The control event of a session that is another now."""
    return ControlEvent(
        kind=kind,
        subject=after.id,
        data={"user": after.user_id, "state": after.state, "reason": after.reason, "backend": after.backend},
    )
