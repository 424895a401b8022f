"""Deltas: an update told by what it changed in the content (contract §4)."""

from dataclasses import replace

import orjson

from resources_app.diff import diff
from resources_app.state import Kind, OnConflict, ResourceState, encode


def delta_of(base: ResourceState, after: ResourceState, resolution: OnConflict | None = None) -> bytes | None:
    """The change from `base` to the next version as JSON: {"patch": [RFC 6902 on `content`], "base_version": n}.

    With the `resolution` of a conflict, it tells that as well.

    None where only the whole resource will do: something else has changed than the content (and the version, size,
    offset and time that go with it), the content is not JSON, or the patch is not the shorter way to tell it.
    """
    if after.kind is not Kind.JSON or not _differ_in_content_alone(base, after):
        return None
    patch = [] if base.body == after.body else diff(orjson.loads(base.body), orjson.loads(after.body))
    told: dict[str, object] = {"patch": patch, "base_version": base.version}
    if resolution is not None:
        told["resolution"] = resolution.value
    delta = orjson.dumps(told)
    return delta if _is_shorter(delta, after) else None


def _differ_in_content_alone(base: ResourceState, after: ResourceState) -> bool:
    expected = replace(
        base,
        body=after.body,
        size=after.size,
        version=after.version,
        updated_at=after.updated_at,
        offset=after.offset,
    )
    return expected == after


def _is_shorter(delta: bytes, after: ResourceState) -> bool:
    """A delta is shorter than the content; or, where the content is small, than all else that the resource says.

    Not merely shorter than both together: a patch that replaces all of a large content would be, and gain nothing.
    """
    return len(delta) < len(after.body) or len(delta) < len(encode(after, include_content=False))
