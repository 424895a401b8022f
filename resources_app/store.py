"""Resources as the writer keeps them: load what a batch touches, decide, save the last states (architecture §2)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from audit_app.bulk import Bulk, Row, table_of
from audit_app.errors import Refusal
from audit_app.trail import Entry
from audit_app.writer import Decision, Store
from resources_app.changes import Change, Patch
from resources_app.decide import decide
from resources_app.log.events import LoggedEvent
from resources_app.models import Resource
from resources_app.state import Kind, OnConflict, ResourceState

FIELDS = (
    *("uri", "name", "title", "description", "mime_type", "on_conflict", "kind", "size", "version", "deleted"),
    *("created_at", "updated_at", "offset"),
)
HEADS = table_of(Resource, *FIELDS)
ROWS = table_of(Resource, *FIELDS, "body")


@dataclass(slots=True)
class Loaded:
    """The resources of one batch: as they were, and as the decisions so far have left them.

    A body that no change of the batch needs is not loaded; `events` holds the last event of each changed resource.
    """

    before: dict[str, ResourceState]
    now: dict[str, ResourceState] = field(default_factory=dict)
    events: dict[str, LoggedEvent] = field(default_factory=dict)


class ResourceStore(Store):
    """One store for all resources."""

    def load(self, db: Bulk, commands: Sequence["ChangeResources"]) -> Loaded:
        changes = [change for command in commands for change in command.changes]
        whole = {change.uri for change in changes if isinstance(change, Patch)}
        uris = {change.uri for change in changes}
        rows: list[ResourceState] = []
        if whole:
            rows += [_state(row) for row in db.select(ROWS, "uri", uris, lock=True)]
        else:
            rows += [_state([*row, b""]) for row in db.select(HEADS, "uri", uris, lock=True)]
        return Loaded({state.uri: state for state in rows})

    def decide(self, state: Loaded, command: "ChangeResources", at: datetime) -> Decision:
        now: dict[str, ResourceState] = {}
        events: list[LoggedEvent] = []
        for index, change in enumerate(command.changes):
            before = now.get(change.uri) or state.now.get(change.uri) or state.before.get(change.uri)
            try:
                after = decide(change, before, at)
            except Refusal as refusal:
                if command.is_batch:
                    refusal.data["operation"] = index
                raise
            now[change.uri] = after
            events.append(LoggedEvent(type=_type(before, after), after=after))
        state.now.update(now)
        state.events.update((event.uri, event) for event in events)
        return Decision(result=events, events=events, details=_details(events))

    def save(self, db: Bulk, state: Loaded) -> None:
        fresh: list[Row] = []
        changed: list[Row] = []
        for uri, event in state.events.items():
            (changed if uri in state.before else fresh).append(_row(event.after))
        db.insert(ROWS, fresh)
        db.update(ROWS, "uri", changed)


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


def _details(events: Sequence[LoggedEvent]) -> dict[str, Any]:
    if len(events) == 1:
        return {"change": events[0].type, "version": events[0].version}
    return {"changes": [{"uri": event.uri, "change": event.type, "version": event.version} for event in events]}


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
