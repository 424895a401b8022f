"""Resources as the writer keeps them: load what a batch touches, decide, save the last states (architecture §2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.conf import settings

from audit_app.bulk import Bulk, Row, table_of
from audit_app.commands import Decision, Store
from audit_app.errors import Refusal, TooLarge
from audit_app.trail import Entry
from encryption_app.data_keys import data_keys
from encryption_app.envelope import DataKey
from encryption_app.errors import KeysMissing
from encryption_app.key_rows import destroyed
from encryption_app.policy import provider_of
from resources_app.changes import Change, Patch, Restore
from resources_app.decide import NO_VERSIONS, Versions, decide, rule_of_conflict
from resources_app.log.events import LoggedEvent
from resources_app.log.versions import select_versions
from resources_app.models import Resource
from resources_app.sealed import as_kept, is_locked, lacking, opened, sealed_body
from resources_app.state import Kind, OnConflict, ResourceState
from telemetry_app.tracing.context import TraceContext, traced

FIELDS = (
    *("uri", "name", "title", "description", "mime_type", "on_conflict", "kind", "size", "version", "deleted"),
    *("created_at", "updated_at", "offset"),
)
HEADS = table_of(Resource, *FIELDS)
BODIES = table_of(Resource, "uri", "body", "sealed_by")
ROWS = table_of(Resource, *FIELDS, "body", "sealed_by")

MAX_RESOURCES = 8
"""A command makes at most as much content as so many of the largest resources: small patches can make much."""


@dataclass(slots=True)
class Loaded:
    """The resources of one batch: as they were, and as the decisions so far have left them.

    A body that no change of the batch needs is not loaded. `versions` holds, for each resource of which a change may
    need an earlier version, those that are known: loaded ones, and all that the batch makes. `destroyed` are those data
    keys which the batch would use, and which nobody has any more. `events` holds the last
    event of each changed resource, `refused` the refusals, each with the change that the resource had last then.
    """

    before: dict[str, ResourceState]
    destroyed: set[str] = field(default_factory=set)
    versions: dict[str, dict[int, ResourceState]] = field(default_factory=dict)
    now: dict[str, ResourceState] = field(default_factory=dict)
    events: dict[str, LoggedEvent] = field(default_factory=dict)
    refused: list[tuple[Refusal, LoggedEvent | ResourceState | None]] = field(default_factory=list)

    def opened(self, uri: str, before: ResourceState | None, known: Versions) -> tuple[ResourceState | None, Versions]:
        """What a change is decided on, with its content; a version whose content was destroyed is gone.

        Raises KeysMissing, ContentDestroyed, ContentTampered.
        """
        if before is not None and is_locked(before):
            before = self.before[uri] = opened(before)
        if any(map(is_locked, known.values())):
            known = self.versions[uri] = {
                version: opened(state)
                for version, state in known.items()
                if not (is_locked(state) and state.sealed_by in self.destroyed)
            }
        return before, known

    def key_for(self, uri: str, keys: Mapping[str, DataKey]) -> DataKey | None:
        """The key under which a change's content is to be kept. Raises KeysMissing when it was destroyed."""
        key = keys.get(uri)
        if key is None and provider_of(uri) is not None:
            raise KeysMissing()
        if key is not None and key.id in self.destroyed:
            raise KeysMissing(gone=[key.id])
        return key


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
        before = {
            state.uri: state for state in map(_state, rows if table is ROWS else ([*row, b"", ""] for row in rows))
        }
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
            for uri, kept, sealed_by in db.select(BODIES, "uri", whole & before.keys()) if whole else ():
                body, sealer = as_kept(bytes(kept), sealed_by, uri)
                before[uri] = replace(before[uri], body=body, sealed_by=sealer)
        for uri in versions.keys() & before.keys():
            versions[uri][before[uri].version] = before[uri]
        for state in select_versions(db, wanted) if wanted else ():
            versions[state.uri][state.version] = state
        return Loaded(before, _destroyed(db, commands, before, versions), versions)

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
                before, known = state.opened(uri, before, known)
                after = decide(change, before, at, {**known, **made[uri]} if uri in made else known)
                key = state.key_for(uri, command.keys) if after.body else None
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
            after = replace(after, sealed_by=key.id if key else "") if key or after.sealed_by else after
            now[uri] = after
            if uri in state.versions:
                made.setdefault(uri, {})[after.version] = after
            resolution = rule_of_conflict(change, before)
            kept = sealed_body(after, key) if key else None
            events.append(
                LoggedEvent(
                    type=_type(before, after), after=after, resolution=resolution, kept=kept, trace=command.trace
                )
            )
        state.now.update(now)
        for uri, of_uri in made.items():
            state.versions[uri].update(of_uri)
        state.events.update((event.uri, event) for event in events)
        return Decision(result=events, events=events, details=_details(events))

    def save(self, db: Bulk, state: Loaded) -> None:
        fresh: list[Row] = []
        changed: list[Row] = []
        for uri, event in state.events.items():
            (changed if uri in state.before else fresh).append(_row(event))
        db.insert(ROWS, fresh)
        db.update(ROWS, "uri", changed)
        for refusal, last in state.refused:
            refusal.position = last.offset if last is not None else 0


STORE = ResourceStore()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeResources:
    """One change, or several that are applied all or not at all; the result is their events, in order.

    `keys` holds a data key for each URI whose content is to be encrypted. Raises KeysMissing for want of a key. The
    events name the `trace`, by default that of the present request where it is of use.
    """

    changes: Sequence[Change]
    entry: Entry | None
    is_batch: bool = False
    keys: Mapping[str, DataKey] = field(default_factory=dict)
    trace: TraceContext | None = field(default_factory=traced)
    store: ResourceStore = STORE


def _destroyed(
    db: Bulk,
    commands: Sequence[ChangeResources],
    before: Mapping[str, ResourceState],
    versions: Mapping[str, Mapping[int, ResourceState]],
) -> set[str]:
    """Those data keys that are destroyed, of the ones that changes bring and of those that are needed and not held."""
    used = {key.id for command in commands for key in command.keys.values()}
    needed = lacking(before.values()).union(*(lacking(of_uri.values()) for of_uri in versions.values()))
    used |= {id for id in needed if data_keys.held.get(id) is None}
    return destroyed(db, used) if used else set()


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
    body, sealer = as_kept(bytes(values["body"]), values["sealed_by"], values["uri"])
    return ResourceState(
        **values
        | {
            "on_conflict": OnConflict(values["on_conflict"]),
            "kind": Kind(values["kind"]),
            "deleted": bool(values["deleted"]),
            "body": body,
            "sealed_by": sealer,
        }
    )


def _row(event: LoggedEvent) -> Row:
    state = event.after
    return (
        *(state.uri, state.name, state.title, state.description, state.mime_type),
        *(state.on_conflict.value, state.kind.value, state.size, state.version, state.deleted),
        *(state.created_at, state.updated_at, state.offset, event.kept_body, state.sealed_by),
    )
