"""A selection of the trail, whole, in a format that other programs read; what leaves is told in the trail before."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from audit_app.commands import Record
from audit_app.database import in_trail
from audit_app.formats import FORMATS
from audit_app.formats.csv import csv_head, csv_row
from audit_app.models import AuditEntry, Trail
from audit_app.queries import Place, entry_json, next_page
from audit_app.trail import Entry
from audit_app.writer import writer

EXPORTS = {**FORMATS, "csv": csv_row}
"""Every format of an export, by its name."""

HEADS = {"csv": csv_head}


class Bent(ValueError):
    """An entry that somebody has changed so that a format cannot show it; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """Chosen entries in one of EXPORTS, the oldest first: those that the trail has now, however long it takes."""

    rows: Trail
    format: str
    count: int

    @classmethod
    def of(cls, rows: Trail, format: str) -> "Export":
        head = AuditEntry.objects.order_by("-sequence").values_list("sequence", flat=True).first() or 0
        rows = rows.filter(sequence__lte=head)
        return cls(rows=rows, format=format, count=rows.order_by().count())

    def record(self, entry: Entry, told: Mapping[str, Any]) -> None:
        """Leave the audit entry of it, with what else is `told` in its details, before anything leaves.

        Raises Unavailable; then nothing may be exported.
        """
        writer.run(Record(entry=entry, details={"format": self.format, "entries": self.count, **told}))

    def chunks(self) -> Iterator[bytes]:
        """The lines, a thousand at a time."""
        yield self._head()
        after: Place | None = None
        while entries := next_page(self.rows, after):
            yield self._lines(entries)
            after = Place.of(entries[-1])

    async def stream(self) -> AsyncIterator[bytes]:
        """The same, read on the threads for reads."""
        yield self._head()
        after: Place | None = None
        while entries := await in_trail(next_page, self.rows, after):
            yield self._lines(entries)
            after = Place.of(entries[-1])

    def _head(self) -> bytes:
        return HEADS[self.format]() + b"\n" if self.format in HEADS else b""

    def _lines(self, entries: list[AuditEntry]) -> bytes:
        return b"".join([self._line(entry) + b"\n" for entry in entries])

    def _line(self, entry: AuditEntry) -> bytes:
        try:
            return EXPORTS[self.format](entry_json(entry))
        except (TypeError, ValueError, KeyError) as error:
            raise Bent(f"entry {entry.sequence} was bent and has no form as {self.format}; jsonl shows it") from error
