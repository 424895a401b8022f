"""Content under a data key: sealed as the writer keeps it, opened where it is shown (docs/encryption.md).

A state out of the database may be locked: its `body` is an envelope. Whoever needs the content opens it, and says by
KeysMissing which keys that takes; they are fetched off the event loop, by `data_keys.opening`.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import ParamSpec, TypeVar

from audit_app.database import in_database
from encryption_app.data_keys import data_keys
from encryption_app.envelope import MARK, DataKey, Place, Purpose, Tampered, is_sealed, key_of
from encryption_app.errors import ContentDestroyed, KeysMissing
from encryption_app.policy import forbids_plain
from encryption_app.tampering import tampered
from resources_app.state import Kind, ResourceState

P = ParamSpec("P")
T = TypeVar("T")

UNREADABLE = "?"
FORGED = MARK
"""Stands for content without an envelope where there has to be one: it does not open."""


def sealed_body(state: ResourceState, key: DataKey) -> bytes:
    """The content of a state as it is kept; it opens nowhere but at this version of this resource."""
    return key.seal(state.body, place_of(state.kind, state.uri, state.version)) if state.body else b""


def is_locked(state: ResourceState) -> bool:
    """Whether the content of a state has not been opened."""
    return is_sealed(state.body)


def sealer_of(body: bytes) -> str:
    """The id of the data key under which a body is kept, "" for none, UNREADABLE where what is kept does not say."""
    try:
        return key_of(body)
    except Tampered:
        return UNREADABLE


def as_kept(body: bytes, sealed_by: str, uri: str) -> tuple[bytes, str]:
    """Content out of the database, and the id of the data key under which it is.

    `sealed_by` is what its row says of that. Plain content where the row, or a strict rule, says that it is encrypted
    is none that was written there, nor is what is under another key: it becomes FORGED, and UNREADABLE.
    """
    if is_sealed(body):
        id = sealer_of(body)
        return (body, id) if sealed_by in {"", id} else (FORGED, UNREADABLE)
    if sealed_by or (body and forbids_plain(uri)):
        return FORGED, UNREADABLE
    return body, ""


def lacking(states: Iterable[ResourceState]) -> set[str]:
    """The data keys that it takes to open those states that are locked."""
    return {state.sealed_by for state in states if is_locked(state)} - {UNREADABLE}


def opened(state: ResourceState) -> ResourceState:
    """The state with its content, if the data key is held.

    Raises KeysMissing, ContentDestroyed when nobody will ever have the key, and ContentTampered.
    """
    if not is_sealed(state.body):
        return state
    return replace(state, body=opened_body(state.body, state.sealed_by, place_of(state.kind, state.uri, state.version)))


async def unlock(state: ResourceState) -> ResourceState:
    """The same, once the data key has been fetched. Raises Unavailable for want of one instead of KeysMissing."""

    async def work() -> ResourceState:
        return opened(state)

    return await data_keys.opening(work)


def opened_body(kept: bytes, sealed_by: str, place: Place) -> bytes:
    """The content of an envelope. Raises the same."""
    key = data_keys.held.get(sealed_by)
    if key is None and sealed_by != UNREADABLE:
        if data_keys.held.is_destroyed(sealed_by):
            raise ContentDestroyed()
        raise KeysMissing([sealed_by])
    try:
        if key is None:
            raise Tampered()
        return key.open(kept, place)
    except Tampered:
        raise tampered("content", place.subject.partition(" ")[2], version=place.version) from None


def prove_kept(state: ResourceState) -> None:
    """Raise ContentDestroyed when the data key of a state is known to be destroyed."""
    if data_keys.held.is_destroyed(state.sealed_by):
        raise ContentDestroyed()


async def opening(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a function reads from the database and opens. Raises what it raises, and Unavailable for want of a key."""
    return await data_keys.opening(partial(in_database, read, *args, **kwargs))


def place_of(kind: Kind, uri: str, version: int) -> Place:
    """Where the content of a resource belongs: it is read as what it is, at its version of its resource."""
    return Place(Purpose.CONTENT, f"{kind.value} {uri}", version)
