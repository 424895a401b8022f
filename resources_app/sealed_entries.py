"""What is kept of changes beside their content: details of the audit entry, the answer under an idempotency key.

Both name what is in the content, so both are encrypted: details part by part, each under the data key of its own
resource; an answer, which is one thing, under all of them, so that it is gone with the first that is destroyed.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from audit_app.trail import Entry
from encryption_app.envelope import DataKey, Place, Purpose
from encryption_app.submission import sealing_answer
from resources_app.changes import Change

SEALED = "sealed"


def sealing(entry: Entry, changes: Sequence[Change], keys: Mapping[str, DataKey], *, is_batch: bool) -> Entry:
    """The entry of changes, so that what it keeps of each resource is encrypted by that one's data key in `keys`."""
    if not keys:
        return entry

    def sealed_details(details: Mapping[str, Any], id: str) -> Mapping[str, Any]:
        if not is_batch:
            return _sealed(details, keys.get(changes[0].uri), id)
        if "changes" in details:
            # by their place: what the trail keeps of a URI may have been redacted
            parts = [
                {"uri": part["uri"]} | _sealed(part, keys.get(change.uri), id, place)
                for place, (part, change) in enumerate(zip(details["changes"], changes, strict=True))
            ]
            return {**details, "changes": parts}
        place = details.get("operation")
        if place is None:
            return details
        return {"operation": place} | _sealed(details, keys.get(changes[place].uri), id, place)

    return replace(entry, once=sealing_answer(entry.once, list(keys.values())), seal=sealed_details)


def place_of_details(id: str, part: int = 0) -> Place:
    """Where details belong: to an entry, and in a batch to the change at a place in it."""
    return Place(Purpose.DETAILS, id, part)


def _sealed(details: Mapping[str, Any], key: DataKey | None, id: str, part: int = 0) -> dict[str, Any]:
    if key is None:
        return dict(details)
    return {SEALED: base64.b64encode(key.seal(orjson.dumps(details), place_of_details(id, part))).decode()}
