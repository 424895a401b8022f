"""Where the streams of the log begin and end."""

from dataclasses import dataclass

from resources_app.models import LogHead

HEADS = LogHead._meta.db_table
CHANGES = "changes"
CONTROL = "control"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The offset of the last event (0: none yet) and of the earliest that is kept (head + 1: none is)."""

    head: int
    earliest: int


def bounds() -> dict[str, Bounds]:
    """The bounds of every stream, from one query."""
    rows = LogHead.objects.values_list("stream", "head", "earliest")
    return {stream: Bounds(head, earliest) for stream, head, earliest in rows}
