"""Bringing kept content in line with the rules: what is to be encrypted is, and what is not is not (any more).

Nothing of a resource changes by that, so there are no events, and caches stay true.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from django.db.models import BinaryField, F, QuerySet
from django.db.models.functions import Substr

from audit_app.bulk import Bulk, Row, Table, table_of
from audit_app.commands import Decision, Store
from audit_app.database import in_database
from audit_app.trail import Entry
from audit_app.writer import writer
from encryption_app.data_keys import data_keys
from encryption_app.envelope import DataKey, is_sealed
from encryption_app.errors import ContentDestroyed, ContentTampered, KeysAway, KeysMissing
from encryption_app.key_rows import destroyed
from encryption_app.policy import provider_of
from encryption_app.progress import NOT_AS_WRITTEN, Failure, Progress, is_worth_waiting, reason_of
from resources_app.models import Event, Resource
from resources_app.sealed import UNREADABLE, as_kept, opened_body, place_of
from resources_app.state import Kind

CONTENT = ("uri", "kind", "version", "body", "sealed_by")
RESOURCES = table_of(Resource, *CONTENT)
EVENTS = table_of(Event, "offset", *CONTENT)
BODIES = {
    RESOURCES: table_of(Resource, "uri", "body", "sealed_by"),
    EVENTS: table_of(Event, "offset", "body", "sealed_by"),
}
Body = tuple[bytes, str]
"""Content as it is kept, and the id of its data key."""

STEP_ROWS = 16
"""At most so many bodies are rewritten in one transaction."""


@dataclass(slots=True)
class Rewriting:
    """The rows of a batch by table and key, what they become, and the data keys that nobody has any more."""

    rows: dict[tuple[Table, Any], Row]
    destroyed: set[str]
    fresh: dict[Table, dict[Any, Body]] = field(default_factory=lambda: {RESOURCES: {}, EVENTS: {}})


class RewritingStore(Store):
    """One store for kept content, of present states and of the log."""

    def load(self, db: Bulk, commands: Sequence["Rewrite"]) -> Rewriting:
        rows: dict[tuple[Table, Any], Row] = {}
        for table in BODIES:
            keys = {key for command in commands if command.table is table for key in command.rows}
            found = db.select(table, table.columns[0], keys, lock=True) if keys else ()
            rows |= {(table, row[0]): row for row in found}
        used = {key.id for command in commands for key in command.keys.values()}
        return Rewriting(rows, destroyed(db, used) if used else set())

    def decide(self, state: Rewriting, command: "Rewrite", at: datetime) -> Decision:
        if gone := {key.id for key in command.keys.values()} & state.destroyed:
            raise KeysMissing(gone=gone)
        fresh: dict[Any, Body] = {}
        failed: list[str] = []
        for key in command.rows:
            row = state.rows.get((command.table, key))
            if row is None:
                continue
            try:
                body = _rewritten(row[-len(CONTENT) :], command.keys)
            except ContentTampered:
                failed.append(row[-len(CONTENT)])
                continue
            if body is not None:
                fresh[key] = body
        state.fresh[command.table] |= fresh
        return Decision(result=(len(fresh), failed))

    def save(self, db: Bulk, state: Rewriting) -> None:
        for table, fresh in state.fresh.items():
            db.update(BODIES[table], table.columns[0], [(key, *body) for key, body in sorted(fresh.items())])


STORE = RewritingStore()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """Bring rows of a table in line with the rules; `keys` holds a data key for each URI that is to be encrypted.

    The result counts the rows that were not, and has the URIs of those that do not open. Raises KeysMissing for want of
    a key.
    """

    table: Table
    rows: Sequence[Any]
    keys: Mapping[str, DataKey]
    entry: Entry | None = None
    store: RewritingStore = STORE


async def rewrite_resources(after: str, limit: int, *, is_patient: bool) -> Progress:
    """Bring the next present states behind a URI in line with the rules.

    What does not open is passed by. Raises KeysAway while a provider does not answer, if `is_patient`; otherwise passes
    by what takes its keys.
    """
    rows = Resource.objects.filter(uri__gt=after).order_by("uri")
    return await _rewrite(RESOURCES, await in_database(_firsts, rows.annotate(key=F("uri")), limit), is_patient)


async def rewrite_events(after: str, upto: int, limit: int, *, is_patient: bool) -> Progress:
    """The same for events behind one offset, up to another."""
    rows = Event.objects.filter(offset__gt=int(after or 0), offset__lte=upto).order_by("offset")
    return await _rewrite(EVENTS, await in_database(_firsts, rows.annotate(key=F("offset")), limit), is_patient)


def plain_versions(uri: str) -> int:
    """How many versions of a resource are kept without encryption. Reads the database.

    What somebody has put where a row says that an envelope is counts as none: there is nothing in it to destroy.
    """
    rows = [*_firsts(Resource.objects.filter(uri=uri, sealed_by="").annotate(key=F("uri")), 1)]
    rows += _firsts(Event.objects.filter(uri=uri, sealed_by="").annotate(key=F("offset")), None)
    return sum(bool(first) and not is_sealed(first) for _, _, first in rows)


async def _rewrite(table: Table, found: Sequence[tuple[Any, str, bytes]], is_patient: bool) -> Progress:
    wrong = iter([(key, uri) for key, uri, first in found if first and is_sealed(first) is (provider_of(uri) is None)])
    count = 0
    failures: list[Failure] = []
    while some := list(islice(wrong, STEP_ROWS)):
        changed, failed = await _rewrite_some(table, some, is_patient)
        count += changed
        failures += failed
    return Progress(after=str(found[-1][0]) if found else None, count=count, failures=failures)


async def _rewrite_some(
    table: Table, some: Sequence[tuple[Any, str]], is_patient: bool
) -> tuple[int, Sequence[Failure]]:
    """How many rows were changed, and which could not be; those stay as they are."""
    what = "resource" if table is RESOURCES else "event"
    try:
        count, failed = await data_keys.opening(partial(_submit, table, some))
    except (ContentTampered, KeysAway) as refusal:
        if is_patient and is_worth_waiting(refusal):
            raise
        if len(some) == 1:
            return 0, [Failure(what, some[0][1], reason_of(refusal))]
        parts = [await _rewrite_some(table, [row], is_patient) for row in some]
        return sum(count for count, _ in parts), [failure for _, failures in parts for failure in failures]
    return count, [Failure(what, uri, NOT_AS_WRITTEN) for uri in failed]


async def _submit(table: Table, some: Sequence[tuple[Any, str]]) -> tuple[int, list[str]]:
    providers = {uri: name for _, uri in some if (name := provider_of(uri)) is not None}
    keys = {uri: await data_keys.key_of(uri, name) for uri, name in providers.items()}
    done: tuple[int, list[str]] = await writer.submit(Rewrite(table=table, rows=[key for key, _ in some], keys=keys))
    return done


def _firsts(rows: QuerySet[Any], limit: int | None) -> list[tuple[Any, str, bytes]]:
    """Of each row its key, its URI and the first byte of its content."""
    found = rows.annotate(first=Substr("body", 1, 1, output_field=BinaryField())).values_list("key", "uri", "first")
    # SQLite has no byte, where PostgreSQL has an empty one
    return [(key, uri, bytes(byte or b"")) for key, uri, byte in found[:limit]]


def _rewritten(row: Row, keys: Mapping[str, DataKey]) -> Body | None:
    """What a body becomes, None when it stays as it is. Raises ContentTampered for one that does not open."""
    uri, kind, version, kept, sealed_by = row
    body, sealer = as_kept(bytes(kept), sealed_by, uri)
    key = keys.get(uri)
    place = place_of(Kind(kind), uri, version)
    if key is not None and body and not sealer:
        return key.seal(body, place), key.id
    if sealer != UNREADABLE and (key is not None or not sealer):
        return None
    try:
        return opened_body(body, sealer, place), ""
    except ContentDestroyed:
        return None
