"""What a change does to a resource: pure functions, no I/O (seed §10.2, contract §3)."""

from dataclasses import replace
from datetime import datetime
from functools import singledispatch

import orjson
from django.conf import settings

from audit_app.errors import TooLarge
from resources_app.changes import Change, Content, Delete, Patch, Write
from resources_app.errors import AlreadyExists, PatchFailed, ResourceNotFound, VersionConflict
from resources_app.patch import apply_patch
from resources_app.state import Kind, OnConflict, ResourceState

MAX_NAME_CHARACTERS = 255
DEFAULT_MIME_TYPES = {Kind.JSON: "application/json", Kind.TEXT: "text/plain", Kind.BLOB: "application/octet-stream"}


@singledispatch
def decide(change: Change, before: ResourceState | None, at: datetime) -> ResourceState:
    """The state of the resource after a change.

    `before` is None when the URI has never been used; a deleted resource still has its state. The offset is that of
    the state before: the log sets the new one.
    Raises ResourceNotFound, AlreadyExists, VersionConflict, PatchFailed, TooLarge.
    """
    raise TypeError(f"no decision for {type(change).__name__}")


@decide.register
def _write(change: Write, before: ResourceState | None, at: datetime) -> ResourceState:
    if before is None or before.deleted:
        if change.base_version is not None:
            raise _conflict(before, change)
        return _create(change, before, at)
    if change.must_be_new:
        raise AlreadyExists(uri=change.uri)
    settle(change, before)
    kind = change.content.kind
    mime_type = change.mime_type or (before.mime_type if kind is before.kind else DEFAULT_MIME_TYPES[kind])
    rule = change.on_conflict if change.base_version is None else None
    return replace(
        _with_content(before, change.content, at),
        mime_type=mime_type,
        name=before.name if change.name is None else change.name,
        title=before.title if change.title is None else change.title,
        description=before.description if change.description is None else change.description,
        on_conflict=rule or before.on_conflict,
    )


@decide.register
def _patch(change: Patch, before: ResourceState | None, at: datetime) -> ResourceState:
    if before is None or before.deleted:
        raise ResourceNotFound(uri=change.uri)
    settle(change, before)
    if before.kind is not Kind.JSON:
        raise PatchFailed("Only JSON content can be patched.", path="")
    body = orjson.dumps(apply_patch(orjson.loads(before.body), change.patch, change.patch_type))
    if len(body) > settings.RESOURCE_MAX_BYTES:
        raise TooLarge(limit=settings.RESOURCE_MAX_BYTES)
    return _with_content(before, Content(kind=Kind.JSON, body=body, size=len(body)), at)


@decide.register
def _delete(change: Delete, before: ResourceState | None, at: datetime) -> ResourceState:
    if before is None or before.deleted:
        raise ResourceNotFound(uri=change.uri)
    settle(change, before)
    return replace(before, deleted=True, version=before.version + 1, updated_at=at, body=b"", size=0)


def settle(change: Change, before: ResourceState) -> None:
    """Whether a change may be applied to a state that it may not be based on.

    A change without a base, or based on the present version, always may. On an older base the last write wins unless
    the rule says otherwise; a base that never was is always refused.
    Raises VersionConflict.
    """
    base = change.base_version
    if base is None or base == before.version:
        return
    rule = change.on_conflict or before.on_conflict
    if base > before.version or rule is not OnConflict.LAST_WRITE_WINS:
        raise _conflict(before, change)


def _conflict(before: ResourceState | None, change: Change) -> VersionConflict:
    conflict = VersionConflict(
        uri=change.uri, current_version=before.version if before else None, conflicting_paths=[""]
    )
    if before is None or (change.base_version or 0) > before.version:
        conflict.data["base_unknown"] = True
    return conflict


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
