"""Commands as tests give them to writers, and what the database holds after them."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from audit_app.bulk import Bulk
from audit_app.commands import Decision, Store
from audit_app.deadlines import deadline
from audit_app.trail import Entry
from resources_app.changes import Change, Delete, Patch
from resources_app.log.control import ControlEvent
from resources_app.log.head import CHANGES, bounds
from resources_app.log.retention import Trim
from resources_app.models import Event, Resource
from resources_app.patch import PatchType
from resources_app.store import ChangeResources
from tests.resources.states import URI, write_of


def entry(action: str = "resources/write", **fields: Any) -> Entry:
    return Entry(timestamp=time.time(), action=action, transport="system", **fields)


def write(value: Any = None, uri: str = URI, **fields: Any) -> ChangeResources:
    return ChangeResources(changes=[write_of(value, uri, **fields)], entry=entry(resource_id=uri))


def delete(uri: str = URI) -> ChangeResources:
    return ChangeResources(changes=[Delete(uri=uri)], entry=entry("resources/delete", resource_id=uri))


def patch(document: Any, patch_type: PatchType = "merge", uri: str = URI) -> ChangeResources:
    change = Patch(uri=uri, patch=document, patch_type=patch_type)
    return ChangeResources(changes=[change], entry=entry("resources/patch", resource_id=uri))


def batch(*changes: Change) -> ChangeResources:
    return ChangeResources(changes=changes, entry=entry("resources/batch"), is_batch=True)


class FaultyStore(Store):
    """Raises what its commands hold, where they say; else emits a control event for each."""

    def load(self, db: Bulk, commands: Sequence["Faulty"]) -> list["Faulty"]:
        raise_first(commands, "load")
        return []

    def decide(self, state: list["Faulty"], command: "Faulty", at: datetime) -> Decision:
        raise_first([command], "decide")
        state.append(command)
        return Decision(result="done", events=[ControlEvent(kind="test.done", subject="")])

    def save(self, db: Bulk, state: list["Faulty"]) -> None:
        raise_first(state, "save")


STORE = FaultyStore()


@dataclass(eq=False, kw_only=True)
class Faulty:
    """Raises its errors in turn, one an attempt, then none any more; `for_ever` repeats the last one.

    With a `gate` it waits for that first, and so keeps the writer busy until others have come.
    """

    where: str
    errors: list[Exception]
    for_ever: bool = False
    gate: threading.Event | None = None
    entry: Entry | None = field(default_factory=lambda: entry("test/faulty"))
    store: FaultyStore = STORE


def raise_first(commands: Sequence[Faulty], where: str) -> None:
    for command in commands:
        if command.where == where and command.gate is not None:
            command.gate.wait(10)
        if command.where == where and command.errors:
            raise command.errors[0] if command.for_ever and len(command.errors) == 1 else command.errors.pop(0)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is submitted in this block has to be done in so many seconds."""
    before = deadline.set(time.monotonic() + seconds)
    yield
    deadline.reset(before)


def trimming(stop: int, stream: str = CHANGES, *, is_last: bool = True) -> Trim:
    """All that lies below `stop` goes in one step, of a stream that no prefixes divide."""
    return Trim(stream=stream, stop=stop, offsets=range(1, stop), is_last=is_last)


def offsets() -> list[int]:
    """The offsets that the log holds, in order."""
    return list(Event.objects.order_by("offset").values_list("offset", flat=True))


def head() -> int:
    return bounds()[CHANGES].head


def versions(uri: str) -> list[int]:
    """The versions of a resource in the log, in the order of their offsets."""
    return list(Event.objects.filter(uri=uri).order_by("offset").values_list("version", flat=True))


def stored_version(uri: str) -> int:
    return Resource.objects.get(uri=uri).version
