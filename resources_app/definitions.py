"""Definitions: resources below `resource://erlmcp/` that tell agents what there is (docs/prompts.md).

They are written, guarded and followed as any resource is. A process reads those of a kind once, and again when
something among them has changed.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

import orjson
from jsonschema_rs import Draft202012Validator

from encryption_app.data_keys import data_keys
from encryption_app.errors import ContentDestroyed, ContentTampered
from resources_app.fresh import FreshReads
from resources_app.hub.hub import CONTROL_LOST, hub
from resources_app.hub.locks import CONTENT_DESTROYED
from resources_app.log.control import ControlEvent
from resources_app.log.events import LoggedEvent
from resources_app.queries import CAUSAL_WAIT_SECONDS, list_resources, stored_states
from resources_app.sealed import UNREADABLE, unlock
from resources_app.state import Kind, ResourceState

log = logging.getLogger(__name__)

ROOT = "resource://erlmcp/"
MAX_DEFINITIONS = 1000
MAX_BYTES = 8 * 1024 * 1024
MAX_DEFINITION_BYTES = 256 * 1024

NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)

T = TypeVar("T")


class Malformed(Exception):
    """What is stored is no definition of its kind; says why, and nothing of what it holds."""


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """The definitions of a kind by their names, in order; `malformed` are those that are none, with the reason.

    `sealed_by` are the data keys under which some of them are kept.
    """

    known: Mapping[str, T]
    malformed: Mapping[str, str]
    sealed_by: frozenset[str]


class Definitions(Generic[T]):
    """The definitions of one kind: what lies directly below `resource://erlmcp/<kind>/`, under the last segment.

    `read` makes a definition of a state and its JSON, and raises Malformed. What is none is named in the log once for
    each version. Those behind the first MAX_DEFINITIONS or MAX_BYTES are not known.
    """

    def __init__(self, kind: str, read: Callable[[str, ResourceState, Any], T]) -> None:
        self.prefix = f"{ROOT}{kind}/"
        self._read = read
        self._held: Found[T] | None = None
        self._changes = 0
        self._loads = FreshReads(_stored)
        self._told: dict[str, datetime] = {}
        hub.on_changes(self._follow)
        hub.on_control(self._follow_control)

    async def find(self, after: int | None = 0) -> Found[T]:
        """All of them, as of at least this position in the log; None for what the database has now.

        Raises Unavailable where one is encrypted and nobody has its key.
        """
        is_current = (
            after is not None
            and hub.started
            and (hub.position >= after or await hub.reached(after, CAUSAL_WAIT_SECONDS))
        )
        if is_current and self._held is not None:
            held = self._held
            if held.sealed_by:
                # what was opened before is shown as long as its keys are to be had
                await data_keys.fetch(held.sealed_by)
            return held
        changes = self._changes
        found = await self._load()
        if hub.started and changes == self._changes:
            self._held = found
        return found

    async def _load(self) -> Found[T]:
        known: dict[str, T] = {}
        malformed: dict[str, str] = {}
        states = await self._loads.of(self.prefix)
        by_name = {state.uri.removeprefix(self.prefix): state for state in states}
        for name, state in by_name.items():
            try:
                known[name] = self._read(name, state, _json(name, await unlock(state)))
            except Malformed as reason:
                malformed[name] = str(reason)
            except (ContentDestroyed, ContentTampered) as refusal:
                malformed[name] = str(refusal.message)
            if name in malformed and self._told.get(name) != state.updated_at:
                log.warning("%s is left out: %s", state.uri, malformed[name])
        self._told = {name: state.updated_at for name, state in by_name.items() if name in malformed}
        return Found(known, malformed, frozenset(state.sealed_by for state in states if state.sealed_by) - {UNREADABLE})

    def _follow(self, events: Sequence[LoggedEvent] | None) -> None:
        if events is None or any(event.uri.startswith(self.prefix) for event in events):
            self._forget()

    def _follow_control(self, event: ControlEvent) -> None:
        is_destroyed = event.kind == CONTENT_DESTROYED and event.data["uri"].startswith(self.prefix)
        if is_destroyed or event.kind == CONTROL_LOST:
            self._forget()

    def _forget(self) -> None:
        self._changes += 1
        self._held = None


def check(value: Any, validator: Draft202012Validator) -> None:
    """Raise Malformed where a value does not fit a schema, saying where."""
    error = next(iter(validator.iter_errors(value)), None)
    if error is not None:
        place = "/".join(map(str, error.instance_path)) or "the whole"
        raise Malformed(f"{place} does not fit: {error.kind.name}")


def _stored(prefix: str) -> list[ResourceState]:
    """The resources below a prefix; too large ones without content."""
    described = list_resources(prefix, "", MAX_DEFINITIONS).states
    wanted, size = [], 0
    for state in described:
        if state.size <= MAX_DEFINITION_BYTES:
            size += state.size
            if size > MAX_BYTES:
                break
            wanted.append(state.uri)
    present = stored_states(wanted)
    states = [present.get(state.uri, state) for state in described]
    return [state for state in states if not state.deleted]


def _json(name: str, state: ResourceState) -> Any:
    if not NAME.fullmatch(name):
        raise Malformed("its name has other characters than letters, digits, _, . and -, or is too long")
    if state.kind is not Kind.JSON:
        raise Malformed("it is not JSON")
    if not state.body:
        raise Malformed("it is too large")
    return orjson.loads(state.body)
