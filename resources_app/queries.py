"""Reading resources: one by the consistency asked for (seed §10.1), or many by prefix."""

from enum import StrEnum

from django.db.models import Q

from audit_app.database import in_database
from resources_app.cache import Cached
from resources_app.errors import ResourceNotFound
from resources_app.hub.hub import hub
from resources_app.models import Resource
from resources_app.state import Kind, OnConflict, ResourceState

CAUSAL_WAIT_SECONDS = 0.5


class Consistency(StrEnum):
    """What a read promises (contract §3)."""

    STRONG = "strong"
    CAUSAL = "causal"
    EVENTUAL = "eventual"


async def read_resource(uri: str, consistency: Consistency, after: int) -> Cached:
    """The resource under a normalised URI, also when it has been deleted.

    A causal read reflects at least the log up to `after`: it waits a bounded time for this process to get there, and
    goes to the database when it does not. Raises ResourceNotFound for a URI that was never used.
    """
    if (
        consistency is Consistency.STRONG
        or not hub.started
        or (
            consistency is Consistency.CAUSAL
            and not (hub.position >= after or await hub.reached(after, CAUSAL_WAIT_SECONDS))
        )
    ):
        cached = await _from_database(uri)
    else:
        cached = hub.cache.get(uri) or await hub.cache.load(uri, stored_state)
    if cached is None:
        raise ResourceNotFound(uri=uri)
    return cached


async def exists(uri: str) -> bool:
    """Whether there is a resource under a normalised URI now."""
    state = await in_database(stored_state, uri)
    return state is not None and not state.deleted


def stored_state(uri: str) -> ResourceState | None:
    """The state in the database, that of a deleted resource included; None for a URI never used."""
    row = Resource.objects.filter(uri=uri).first()
    return state_of(row) if row is not None else None


def list_resources(prefix: str, after: str, limit: int) -> list[ResourceState]:
    """Resources whose URI begins with `prefix` and comes behind `after`, in URI order; without their content."""
    rows = Resource.objects.filter(deleted=False, uri__gt=after).order_by("uri").defer("body")
    if prefix:
        rows = rows.filter(Q(uri__gte=prefix) & Q(uri__lt=prefix + "\U0010ffff"))
    return [state_of(row, body=b"") for row in rows[:limit]]


def state_of(row: Resource, body: bytes | None = None) -> ResourceState:
    """The state that a row holds; `body` stands in for one that was not loaded."""
    return ResourceState(
        uri=row.uri,
        name=row.name,
        title=row.title,
        description=row.description,
        mime_type=row.mime_type,
        on_conflict=OnConflict(row.on_conflict),
        kind=Kind(row.kind),
        body=bytes(row.body) if body is None else body,
        size=row.size,
        version=row.version,
        deleted=row.deleted,
        created_at=row.created_at,
        updated_at=row.updated_at,
        offset=row.offset,
    )


async def _from_database(uri: str) -> Cached | None:
    state = await in_database(stored_state, uri)
    return Cached(state) if state is not None else None
