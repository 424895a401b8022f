"""Where the streams of the log begin and end."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from resources_app.errors import Reset
from resources_app.log.prefixes import REST, reached
from resources_app.models import LogHead
from resources_app.patterns import Pattern

HEADS = LogHead._meta.db_table
CHANGES = "changes"
CONTROL = "control"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The offset of the last event (0: none yet) and of the earliest that is kept (head + 1: none is).

    What belongs to a retention prefix is kept from another offset on: `prefixes` holds those. Offsets below
    `skipped_to` may have been those of other events, before a backup was restored.
    """

    head: int
    earliest: int
    prefixes: Mapping[str, int] = field(default_factory=dict)
    skipped_to: int = 0

    @property
    def parts(self) -> dict[str, int]:
        """The earliest offset of each part of the stream: of every retention prefix, and of the rest."""
        return {REST: self.earliest, **self.prefixes}

    def of(self, pattern: Pattern | None) -> "Bounds":
        """The bounds for whoever follows what matches a pattern, or everything (None).

        `earliest` is then the first offset from which on nothing that matches is missing, or was ever another event.
        """
        parts = self.parts
        earliest = max(parts[prefix] for prefix in reached(pattern, self.prefixes))
        return Bounds(self.head, max(earliest, self.skipped_to))

    def prove(self, after: int) -> None:
        """Raise Reset unless everything behind the offset `after` is kept."""
        if not self.earliest - 1 <= after <= self.head:
            raise Reset(earliest=self.earliest, head=self.head)


def bounds() -> dict[str, Bounds]:
    """The bounds of every stream, from one query."""
    rows = LogHead.objects.values_list("stream", "head", "earliest", "prefixes", "skipped_to")
    return {
        stream: Bounds(head, earliest, orjson.loads(prefixes), skipped_to)
        for stream, head, earliest, prefixes, skipped_to in rows
    }
