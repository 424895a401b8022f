"""What an answer has to reflect because its session knows of it already (contract §3)."""

from erlmcp_site.pipeline.passage import Passage
from sessions_app.positions import positions


async def position_of(passage: Passage) -> int:
    """How far the session of a request has got, on whichever node, this one included. Raises PositionUnknown."""
    session, seen = passage.session, passage.offset
    if session is None:
        return seen
    elsewhere = await positions.of(session.id, seen, passage.ahead)
    session.position = max(session.position, seen)
    return max(session.position, elsewhere)
