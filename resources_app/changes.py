"""What callers can ask of a resource, as the writer takes it: one frozen class a kind of change."""

from dataclasses import dataclass
from typing import Any

from resources_app.patch import PatchType
from resources_app.state import Kind, OnConflict


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Content as it is kept: `body` is JSON, UTF-8 text or base64, by `kind`; `size` counts the content's own bytes."""

    kind: Kind
    body: bytes
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What all changes have: the (normalised) URI, and what the caller's change is based on.

    `base_version` None: on nothing in particular. `on_conflict` overrides the resource's own rule for this change.
    `must_exist`: on whatever version there is, so that it is refused where there is none.
    """

    uri: str
    base_version: int | None = None
    on_conflict: OnConflict | None = None
    must_exist: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Write(Change):
    """Set the content, and the descriptive fields that are given (None leaves them as they are).

    `must_be_new` makes it a creation, refused when the resource exists.
    """

    content: Content
    name: str | None = None
    title: str | None = None
    description: str | None = None
    mime_type: str | None = None
    must_be_new: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch(Change):
    """Change a part of JSON content. `patch` is the parsed patch document of `patch_type`."""

    patch: Any
    patch_type: PatchType = "merge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete(Change):
    """Delete the resource; its version goes up all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore(Change):
    """Set content and descriptive fields to what they were at a version that the log still keeps.

    A resource that has been deleted is created again.
    """

    version: int
