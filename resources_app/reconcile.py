"""What a change of an old version and the changes since then come to together (seed §10.2): content and fields."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from resources_app.diff import same
from resources_app.merge import merge
from resources_app.state import Kind, ResourceState

FIELDS = ("name", "title", "description", "mime_type", "on_conflict")
"""What is merged beside the content, field by field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """The state of both sides together, which counts only when nothing conflicts.

    `paths` are JSON Pointers into the content, sorted; `fields` names of descriptive fields.
    """

    state: ResourceState
    paths: Sequence[str] = ()
    fields: Sequence[str] = ()

    @property
    def conflicts(self) -> bool:
        return bool(self.paths or self.fields)


def reconcile(base: ResourceState, mine: ResourceState, theirs: ResourceState) -> Reconciled:
    """Bring together two states that were made of one base. Version, times and offset are those of `theirs`.

    JSON is merged (resources_app/merge.py); other content, and content that became another kind, is that of the side
    that changed it, and a conflict when both did differently. A deletion is a conflict with any change.
    """
    if mine.deleted:
        untouched = _same_content(base, theirs) and not any(_differ(base, theirs, name) for name in FIELDS)
        return Reconciled(state=mine, paths=[] if untouched else [""])
    state, paths = _content(base, mine, theirs)
    changed = [name for name in FIELDS if _differ(base, mine, name) and _differ(mine, theirs, name)]
    return Reconciled(
        state=replace(state, **{name: getattr(mine, name) for name in changed}),
        paths=paths,
        fields=[name for name in changed if _differ(base, theirs, name)],
    )


def _content(base: ResourceState, mine: ResourceState, theirs: ResourceState) -> tuple[ResourceState, Sequence[str]]:
    """`theirs` with the content of both sides, and where that conflicts."""
    if _same_content(base, mine) or _same_content(mine, theirs):
        return theirs, []
    if _same_content(base, theirs):
        return replace(theirs, kind=mine.kind, body=mine.body, size=mine.size), []
    if not base.kind is mine.kind is theirs.kind is Kind.JSON:
        return theirs, [""]
    merged = merge(*(orjson.loads(side.body) for side in (base, mine, theirs)))
    if merged.conflicts:
        return theirs, merged.conflicts
    body = orjson.dumps(merged.value)
    return replace(theirs, body=body, size=len(body)), []


def _same_content(one: ResourceState, other: ResourceState) -> bool:
    """Whether two contents are the same; of JSON, the order of names does not count."""
    if one.kind is not other.kind or len(one.body) != len(other.body):
        return False
    return one.body == other.body or (one.kind is Kind.JSON and same(orjson.loads(one.body), orjson.loads(other.body)))


def _differ(one: ResourceState, other: ResourceState, name: str) -> bool:
    return bool(getattr(one, name) != getattr(other, name))
