"""Versions of a resource: each as it was, all that are kept, and what differs between two (contract §3).

All of it comes from the database: an old version never changes, so it does not matter how consistent a read is.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from resources_app.diff import diff
from resources_app.errors import ResourceNotFound
from resources_app.log.events import LoggedEvent
from resources_app.log.read import earliest_version, logged_version, logged_versions
from resources_app.queries import stored_state
from resources_app.sealed import opened
from resources_app.state import Kind, ResourceState

COMPARED = ("name", "title", "description", "mime_type", "on_conflict", "kind")


def read_version(uri: str, version: int) -> ResourceState:
    """A resource as it was at a version.

    Raises ResourceNotFound for a version that never was or that was a deletion, and for one that has been trimmed;
    then it tells the `earliest_version` that can still be read, None when none can. Raises as `opened` does.
    """
    return opened(_version_of(_present(uri, version), version))


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two versions of a resource, and the JSON Patch (RFC 6902) that makes the content of the second of the first's.

    Text and blobs are their JSON strings here, so a patch of them replaces the whole or is empty.
    """

    before: ResourceState
    after: ResourceState
    patch: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """The difference as callers see it; `fields` only when something beside the content differs."""
        before, after = self.before, self.after
        document = {
            "uri": after.uri,
            "from": before.version,
            "to": after.version,
            "kind": after.kind.value,
            "patch": self.patch,
        }
        pairs = {name: [getattr(before, name), getattr(after, name)] for name in COMPARED}
        fields = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
        return document | ({"fields": fields} if fields else {})


def compare_versions(uri: str, first: int, second: int | None) -> Difference:
    """What differs between two versions of a resource; without a second, between the first and the present one.

    Raises as `read_version` does.
    """
    present = _present(uri, first)
    before = opened(_version_of(present, first))
    after = opened(_version_of(present, present.version if second is None else second))
    return Difference(before=before, after=after, patch=diff(_value(before), _value(after)))


def list_versions(uri: str, before: int | None, limit: int) -> list[LoggedEvent]:
    """The kept changes of a resource below the offset `before`, the newest first, without their content.

    The present version is always among them. Raises ResourceNotFound for a URI of which nothing is there or kept.
    """
    found = logged_versions(uri, before, limit)
    if found or before is not None:
        return found
    present = stored_state(uri)
    if present is None or present.deleted:
        raise ResourceNotFound(uri=uri)
    change = "created" if present.created_at == present.updated_at else "updated"
    return [LoggedEvent(type=change, after=present, offset=present.offset)]


def _present(uri: str, version: int) -> ResourceState:
    present = stored_state(uri)
    if present is None:
        raise ResourceNotFound(uri=uri, version=version)
    return present


def _version_of(present: ResourceState, version: int) -> ResourceState:
    """A version of a resource whose present state, or that when it was deleted, is this."""
    uri = present.uri
    if version > present.version:
        raise ResourceNotFound(uri=uri, version=version)
    event = None if version == present.version else logged_version(present, version)
    if event is None and version < present.version:
        earliest = earliest_version(uri) or (None if present.deleted else present.version)
        raise ResourceNotFound(
            "The log does not keep this version any more.", uri=uri, version=version, earliest_version=earliest
        )
    state = present if event is None else event.after
    if state.deleted:
        raise ResourceNotFound(uri=uri, version=version)
    return state


def _value(state: ResourceState) -> Any:
    return orjson.loads(state.body) if state.kind is Kind.JSON else state.body.decode()
