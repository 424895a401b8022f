"""What a change does to a resource: pure functions, no I/O (seed §10.2, contract §3)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import singledispatch
from types import MappingProxyType
from typing import Any

import orjson
from django.conf import settings

from audit_app.errors import Refusal, TooLarge
from resources_app.changes import Change, Content, Delete, Patch, Restore, Write
from resources_app.errors import AlreadyExists, PatchFailed, ResourceNotFound, VersionConflict
from resources_app.patch import apply_patch
from resources_app.reconcile import FIELDS, Reconciled, reconcile
from resources_app.state import Kind, OnConflict, ResourceState

MAX_NAME_CHARACTERS = 255
DEFAULT_MIME_TYPES = {Kind.JSON: "application/json", Kind.TEXT: "text/plain", Kind.BLOB: "application/octet-stream"}

Versions = Mapping[int, ResourceState]
NO_VERSIONS: Versions = MappingProxyType({})


def decide(
    change: Change, before: ResourceState | None, at: datetime, versions: Versions = NO_VERSIONS
) -> ResourceState:
    """The state of the resource after a change.

    `before` is None when the URI has never been used; a deleted resource still has its state. `versions` holds what is
    known of earlier versions: the base of the change and the version that it restores, unless they are gone. The offset
    is that of the state before: the log sets the new one.
    Raises ResourceNotFound, AlreadyExists, VersionConflict, PatchFailed, InvalidParams, TooLarge, TooDeep.
    """
    if change.must_exist and (before is None or before.deleted):
        raise _conflict(change, before, base_unknown=True)
    if isinstance(change, Restore):
        _restored(change, versions)
    if before is None or before.deleted:
        return _begin(change, before, at, versions)
    if isinstance(change, Write) and change.must_be_new:
        raise AlreadyExists(uri=change.uri)
    if change.base_version is not None and change.base_version > before.version:
        raise _conflict(change, before, base_unknown=True)
    rule = rule_of_conflict(change, before)
    if rule is None or rule is OnConflict.LAST_WRITE_WINS:
        return _apply(change, before, at, versions)
    return _settle(change, rule, before, at, versions)


def rule_of_conflict(change: Change, before: ResourceState | None) -> OnConflict | None:
    """The rule by which a change of an old version is settled; None for a change that cannot conflict.

    That is one without a base, or of the present version, and one of a resource that is not there.
    """
    if before is None or before.deleted or change.base_version is None or change.base_version == before.version:
        return None
    return change.on_conflict or before.on_conflict


def _settle(change: Change, rule: OnConflict, before: ResourceState, at: datetime, versions: Versions) -> ResourceState:
    """What a change of an old version comes to when the last write does not win. Raises VersionConflict."""
    base = versions.get(change.base_version or 0)
    if base is None or base.deleted:
        raise _conflict(change, before, base_unknown=True)
    if _deleted_since(base, before, versions):
        raise _conflict(change, before)
    try:
        mine = _apply(change, base, at, versions)
    except Refusal:
        if rule is OnConflict.REJECT:
            raise _conflict(change, before) from None
        raise
    both = reconcile(base, mine, before)
    if rule is OnConflict.REJECT or both.conflicts:
        raise _conflict(change, before, both)
    if both.state.size > settings.RESOURCE_MAX_BYTES:
        raise TooLarge(limit=settings.RESOURCE_MAX_BYTES)
    return replace(both.state, version=before.version + 1, updated_at=at)


def _deleted_since(base: ResourceState, before: ResourceState, versions: Versions) -> bool:
    """Whether the resource was deleted after a version, and created again: there is nothing to merge with then."""
    # a batch gives all that it makes one time, but then it knows the deletion
    return base.created_at != before.created_at or any(
        state.deleted and state.version > base.version for state in versions.values()
    )


def _conflict(
    change: Change, before: ResourceState | None, both: Reconciled | None = None, *, base_unknown: bool = False
) -> VersionConflict:
    data: dict[str, Any] = {
        "uri": change.uri,
        "current_version": before.version if before else None,
        "conflicting_paths": [""] if both is None else both.paths,
        "resolution": OnConflict.REJECT.value,
    }
    if both is not None and both.fields:
        data["conflicting_fields"] = both.fields
    if base_unknown:
        data["base_unknown"] = True
    return VersionConflict(**data)


def _begin(change: Change, before: ResourceState | None, at: datetime, versions: Versions) -> ResourceState:
    """What a change does where there is no resource, or no more."""
    if not isinstance(change, Write | Restore):
        raise ResourceNotFound(uri=change.uri)
    base = change.base_version
    if base is not None:
        raise _conflict(change, before, base_unknown=before is None or base > before.version)
    if isinstance(change, Write):
        return _create(change, before, at)
    old = _restored(change, versions)
    return replace(_restore(change, before or old, at, versions), deleted=False, created_at=at)


@singledispatch
def _apply(change: Change, state: ResourceState, at: datetime, versions: Versions) -> ResourceState:
    """What a change does to the state that it is based on."""
    raise TypeError(f"no decision for {type(change).__name__}")


@_apply.register
def _write(change: Write, state: ResourceState, at: datetime, versions: Versions) -> ResourceState:
    kind = change.content.kind
    mime_type = change.mime_type or (state.mime_type if kind is state.kind else DEFAULT_MIME_TYPES[kind])
    rule = change.on_conflict if change.base_version is None else None
    return replace(
        _with_content(state, change.content, at),
        mime_type=mime_type,
        name=state.name if change.name is None else change.name,
        title=state.title if change.title is None else change.title,
        description=state.description if change.description is None else change.description,
        on_conflict=rule or state.on_conflict,
    )


@_apply.register
def _patch(change: Patch, state: ResourceState, at: datetime, versions: Versions) -> ResourceState:
    if state.kind is not Kind.JSON:
        raise PatchFailed("Only JSON content can be patched.", path="")
    body = orjson.dumps(apply_patch(orjson.loads(state.body), change.patch, change.patch_type))
    if len(body) > settings.RESOURCE_MAX_BYTES:
        raise TooLarge(limit=settings.RESOURCE_MAX_BYTES)
    return _with_content(state, Content(kind=Kind.JSON, body=body, size=len(body)), at)


@_apply.register
def _delete(change: Delete, state: ResourceState, at: datetime, versions: Versions) -> ResourceState:
    return replace(state, deleted=True, version=state.version + 1, updated_at=at, body=b"", size=0)


@_apply.register
def _restore(change: Restore, state: ResourceState, at: datetime, versions: Versions) -> ResourceState:
    old = _restored(change, versions)
    fields = {name: getattr(old, name) for name in FIELDS}
    return replace(_with_content(state, Content(kind=old.kind, body=old.body, size=old.size), at), **fields)


def _restored(change: Restore, versions: Versions) -> ResourceState:
    """The version that a change restores. Raises ResourceNotFound when it is gone, or never was, or was a deletion."""
    old = versions.get(change.version)
    if old is None or old.deleted:
        raise ResourceNotFound("There is no such version any more.", uri=change.uri, version=change.version)
    return old


def _create(change: Write, before: ResourceState | None, at: datetime) -> ResourceState:
    content = change.content
    return ResourceState(
        uri=change.uri,
        name=change.name if change.name is not None else change.uri.rsplit("/", 1)[-1][:MAX_NAME_CHARACTERS],
        title=change.title or "",
        description=change.description or "",
        mime_type=change.mime_type or DEFAULT_MIME_TYPES[content.kind],
        on_conflict=change.on_conflict or OnConflict.LAST_WRITE_WINS,
        kind=content.kind,
        body=content.body,
        size=content.size,
        version=before.version + 1 if before else 1,
        deleted=False,
        created_at=at,
        updated_at=at,
        offset=before.offset if before else 0,
    )


def _with_content(before: ResourceState, content: Content, at: datetime) -> ResourceState:
    return replace(
        before,
        kind=content.kind,
        body=content.body,
        size=content.size,
        version=before.version + 1,
        updated_at=at,
    )
