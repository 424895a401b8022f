"""What a search asks of a resource, and where in it that was found: a pure function of its state."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from resources_app.json_paths import JsonPath, places
from resources_app.sealed import is_locked
from resources_app.state import Kind, ResourceState

DESCRIBED = ("uri", "name", "title", "description")


@dataclass(frozen=True, slots=True)
class Matches:
    """Where it was found: the text in which fields, `content` included; the path at which places of the content."""

    fields: Sequence[str]
    paths: Sequence[str]

    def as_json(self) -> dict[str, Sequence[str]]:
        return {"fields": self.fields, "paths": self.paths}


class Question:
    """A text to be found in a resource, whatever its case, and a place in its content, maybe with the value there.

    `path` is a JSONPath; `wanted` is the value as the one element of a tuple. What is left out is found everywhere.
    Raises InvalidParams.
    """

    def __init__(self, text: str = "", path: str | None = None, wanted: tuple[Any, ...] = ()) -> None:
        self._text = text.casefold()
        # JSON is searched as it is written, where a quote and the like have another form
        self._written = orjson.dumps(text)[1:-1].decode().casefold()
        self._path = JsonPath(path) if path is not None else None
        self._wanted = wanted

    @property
    def is_open(self) -> bool:
        """Whether everything matches."""
        return not self._text and self._path is None

    def needs_content(self, state: ResourceState) -> bool:
        """Whether the content has to be looked into, by what it is."""
        return state.kind is Kind.JSON if self._path is not None else bool(self._text) and state.kind is not Kind.BLOB

    def matches(self, state: ResourceState) -> Matches | None:
        """Where it is found in a resource; None when it is not.

        What is not JSON has no place that a path could name. Content that is kept encrypted, and bytes, are not looked
        into. Raises InvalidParams when the path takes too much work.
        """
        fields: list[str] = []
        if self._text:
            fields = [name for name in DESCRIBED if self._text in getattr(state, name).casefold()]
            if self._is_in_content(state):
                fields.append("content")
            if not fields:
                return None
        if self._path is None:
            return Matches(fields, ())
        if state.kind is not Kind.JSON or not state.body or is_locked(state):
            return None
        paths = places(self._path, orjson.loads(state.body), *self._wanted)
        return None if paths is None else Matches(fields, paths)

    def _is_in_content(self, state: ResourceState) -> bool:
        if state.kind is Kind.BLOB or is_locked(state):
            return False
        return (self._written if state.kind is Kind.JSON else self._text) in state.body.decode().casefold()
