"""Resources as the writer keeps them: load what a batch touches, decide, save the last states (architecture §2)."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.conf import settings

from audit_app.bulk import Bulk, Row, table_of
from audit_app.commands import Decision, Store
from audit_app.errors import Refusal, TooLarge
from audit_app.trail import Entry
from resources_app.changes import Change, Patch, Restore
from resources_app.decide import NO_VERSIONS, decide, rule_of_conflict
from resources_app.log.events import LoggedEvent
from resources_app.log.versions import select_versions
from resources_app.models import Resource
from resources_app.state import Kind, OnConflict, ResourceState

FIELDS = (
    *("uri", "name", "title", "description", "mime_type", "on_conflict", "kind", "size", "version", "deleted"),
    *("created_at", "updated_at", "offset"),
)
HEADS = table_of(Resource, *FIELDS)
BODIES = table_of(Resource, "uri", "body")
ROWS = table_of(Resource, *FIELDS, "body")

MAX_RESOURCES = 8
"""A command makes at most as much content as so many of the largest resources: small patches can make much."""


@dataclass(slots=True)
class Loaded:
    """The resources of one batch: as they were, and as the decisions so far have left them.

    A body that no change of the batch needs is not loaded. `versions` holds, for each resource of which a change may
    need an earlier version, those that are known: loaded ones, and all that the batch makes. `events` holds the last
    event of each changed resource, `refused` the refusals, each with the change that the resource had last then.
    """

    before: dict[str, ResourceState]
    versions: dict[str, dict[int, ResourceState]] = field(default_factory=dict)
    now: dict[str, ResourceState] = field(default_factory=dict)
    events: dict[str, LoggedEvent] = field(default_factory=dict)
    refused: list[tuple[Refusal, LoggedEvent | ResourceState | None]] = field(default_factory=list)


class ResourceStore(Store):
    """One store for all resources."""

    def load(self, db: Bulk, commands: Sequence["ChangeResources"]) -> Loaded:
        changes: dict[str, list[Change]] = {}
        for command in commands:
            for change in command.changes:
                changes.setdefault(change.uri, []).append(change)
        whole = {uri for uri, of_uri in changes.items() if any(isinstance(change, Patch) for change in of_uri)}
        table = ROWS if len(whole) == len(changes) else HEADS
        rows = db.select(table, "uri", changes, lock=True)
        before = {state.uri: state for state in map(_state, rows if table is ROWS else ([*row, b""] for row in rows))}
        versions: dict[str, dict[int, ResourceState]] = {}
        wanted: list[tuple[ResourceState, int]] = []
        for uri, of_uri in changes.items():
            head = before.get(uri)
            numbers = _earlier_versions(of_uri, head)
            if numbers is not None:
                versions[uri] = {}
                whole.add(uri)
                wanted += [(head, number) for number in sorted(numbers) if head is not None and number < head.version]
        if table is HEADS:
            for uri, body in db.select(BODIES, "uri", whole & before.keys()) if whole else ():
                before[uri] = replace(before[uri], body=bytes(body))
        for uri in versions.keys() & before.keys():
            versions[uri][before[uri].version] = before[uri]
        for state in select_versions(db, wanted) if wanted else ():
            versions[state.uri][state.version] = state
        return Loaded(before, versions)

    def decide(self, state: Loaded, command: "ChangeResources", at: datetime) -> Decision:
        now: dict[str, ResourceState] = {}
        made: dict[str, dict[int, ResourceState]] = {}
        events: list[LoggedEvent] = []
        size = 0
        for index, change in enumerate(command.changes):
            uri = change.uri
            before = now.get(uri) or state.now.get(uri) or state.before.get(uri)
            known = state.versions.get(uri, NO_VERSIONS)
            try:
                after = decide(change, before, at, {**known, **made[uri]} if uri in made else known)
                size += after.size
                if size > MAX_RESOURCES * settings.RESOURCE_MAX_BYTES:
                    raise TooLarge(
                        "The batch makes too much content.", limit=MAX_RESOURCES * settings.RESOURCE_MAX_BYTES
                    )
            except Refusal as refusal:
                state.refused.append((refusal, state.events.get(change.uri) or state.before.get(change.uri)))
                if command.is_batch:
                    refusal.data["operation"] = index
                raise
            now[uri] = after
            if uri in state.versions:
                made.setdefault(uri, {})[after.version] = after
            resolution = rule_of_conflict(change, before)
            events.append(LoggedEvent(type=_type(before, after), after=after, resolution=resolution))
        state.now.update(now)
        for uri, of_uri in made.items():
            state.versions[uri].update(of_uri)
        state.events.update((event.uri, event) for event in events)
        return Decision(result=events, events=events, details=_details(events))

    def save(self, db: Bulk, state: Loaded) -> None:
        fresh: list[Row] = []
        changed: list[Row] = []
        for uri, event in state.events.items():
            (changed if uri in state.before else fresh).append(_row(event.after))
        db.insert(ROWS, fresh)
        db.update(ROWS, "uri", changed)
        for refusal, last in state.refused:
            refusal.position = last.offset if last is not None else 0


STORE = ResourceStore()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeResources:
    """One change, or several that are applied all or not at all; the result is their events, in order."""

    changes: Sequence[Change]
    entry: Entry | None
    is_batch: bool = False
    store: ResourceStore = STORE


def _type(before: ResourceState | None, after: ResourceState) -> str:
    if after.deleted:
        return "deleted"
    return "created" if before is None or before.deleted else "updated"


def _earlier_versions(changes: Sequence[Change], head: ResourceState | None) -> set[int] | None:
    """The versions that changes of one resource may need beside the present one; None when they need no other.

    A base is needed only if it is stale, or may be when its turn comes, and the last write may not win.
    """
    restored = {change.version for change in changes if isinstance(change, Restore)}
    bases = {change.base_version for change in changes if change.base_version is not None}
    if bases and not restored:
        rules = {head.on_conflict if head else None, *(change.on_conflict for change in changes)}
        if rules <= {None, OnConflict.LAST_WRITE_WINS}:
            return None
    if len(changes) == 1 and (head is None or bases == {head.version}):
        bases = set()
    return restored | bases or None


def _details(events: Sequence[LoggedEvent]) -> dict[str, Any]:
    if len(events) == 1:
        return {"change": events[0].type, "version": events[0].version, **_resolution(events[0])}
    return {
        "changes": [
            {"uri": event.uri, "change": event.type, "version": event.version, **_resolution(event)} for event in events
        ]
    }


def _resolution(event: LoggedEvent) -> dict[str, str]:
    return {} if event.resolution is None else {"resolution": event.resolution.value}


def _state(row: Row) -> ResourceState:
    values = dict(zip(ROWS.columns, row, strict=True))
    return ResourceState(
        **values
        | {
            "on_conflict": OnConflict(values["on_conflict"]),
            "kind": Kind(values["kind"]),
            "deleted": bool(values["deleted"]),
            "body": bytes(values["body"]),
        }
    )


def _row(state: ResourceState) -> Row:
    return (
        *(state.uri, state.name, state.title, state.description, state.mime_type),
        *(state.on_conflict.value, state.kind.value, state.size, state.version, state.deleted),
        *(state.created_at, state.updated_at, state.offset, state.body),
    )
