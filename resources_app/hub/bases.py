"""Bases: who has been sent the state that an update is based on, and can be told of it by a delta (contract §4).

A follower is sent every matching event above the offset at which it began, in order and without a gap. So it has been
sent a base exactly when that is of a later offset and came by an event of a kind that it follows: one number for each
follower, whatever the number of resources.
"""

from collections.abc import Sequence

from resources_app.log.events import LoggedEvent
from resources_app.state import ResourceState


def was_sent(base: ResourceState, kinds: frozenset[str], began: int) -> bool:
    """Whether a follower of these kinds of events that began behind an offset has been sent the base of an update.

    A base may have come by a creation when it is as old as its resource, however many updates were made in that moment.
    """
    return base.offset > began and ("created" in kinds or base.created_at != base.updated_at)


def texts_for(
    events: Sequence[LoggedEvent], kinds: frozenset[str], include_content: bool, began: int | None
) -> list[str]:
    """The texts of events for a follower; `began` is None for one that takes no deltas."""
    if began is None:
        return [event.text(include_content) for event in events]
    return [
        event.delta_text() if event.base is not None and was_sent(event.base, kinds, began) else event.text()
        for event in events
    ]


def find_bases(events: Sequence[LoggedEvent]) -> None:
    """Give each update the state before it, where that is among the events before it."""
    latest: dict[str, ResourceState] = {}
    for event in events:
        event.find_base(latest.get(event.uri))
        latest[event.uri] = event.after
