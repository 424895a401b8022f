"""A client's own copies of resources, kept by what its events tell: whole resources and deltas (contract §4)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jsonpatch
import orjson


@dataclass
class Replica:
    """Every version of every resource that one connection has told of; `deltas` counts those that came as a patch."""

    versions: dict[tuple[str, int], Mapping[str, Any]] = field(default_factory=dict)
    deltas: int = 0

    def take(self, event: Mapping[str, Any]) -> None:
        """One event. Raises AssertionError for a delta whose base never came."""
        uri, version, data = event["subject"], event["version"], event["data"]
        if "patch" in data:
            assert event["type"] == "erlmcp.resource.updated", event
            assert data.keys() - {"resolution"} == {"patch", "base_version"}, event
            assert data["base_version"] == version - 1, event
            assert (uri, version - 1) in self.versions, f"version {version - 1} of {uri} never came"
            data = self._patched(self.versions[uri, version - 1], event)
            self.deltas += 1
        self.versions[uri, version] = data

    @staticmethod
    def _patched(base: Mapping[str, Any], event: Mapping[str, Any]) -> Mapping[str, Any]:
        content = jsonpatch.apply_patch(base["content"], event["data"]["patch"])
        changed = {name: event[name] for name in ("version", "offset", "resolution") if name in event}
        kept = {name: value for name, value in base.items() if name != "resolution"}
        return {**kept, **changed, "updated_at": event["time"], "content": content}


def told(resource: Mapping[str, Any]) -> bytes:
    """All of a resource that a delta tells or leaves as it is, equal for the same JSON only: 1, 1.0 and true differ.

    The size is not told; it can be taken from the content.
    """
    known = {name: value for name, value in resource.items() if name != "size"}
    return orjson.dumps(known, option=orjson.OPT_SORT_KEYS)
