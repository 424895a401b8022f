"""Reading resources: one by the consistency asked for (seed §10.1), or many by prefix."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.db.models import Subquery

from audit_app.database import in_database
from encryption_app.data_keys import data_keys
from resources_app.cache import STALES, Cached
from resources_app.fresh import FreshReads
from resources_app.hub.hub import hub
from resources_app.log.head import CHANGES, bounds
from resources_app.models import LogHead, Resource
from resources_app.sealed import as_kept, is_locked, prove_kept, unlock
from resources_app.state import Kind, OnConflict, ResourceState
from resources_app.uris import END

CAUSAL_WAIT_SECONDS = 0.5
URIS_A_QUERY = 500

HEAD = Subquery(LogHead.objects.filter(stream=CHANGES).values("head")[:1])


class Consistency(StrEnum):
    """What a read promises (contract §3)."""

    STRONG = "strong"
    CAUSAL = "causal"
    EVENTUAL = "eventual"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a read has found: a resource, a deleted one included, or None for a URI that was never used.

    It reflects the log up to `offset`, and may reflect more of it.
    """

    cached: Cached | None
    offset: int


async def read_resource(uri: str, consistency: Consistency, after: int) -> Reading:
    """The resource under a normalised URI.

    A strong read reflects whatever was committed when it was asked for. A causal read reflects at least the log up to
    `after`: it waits a bounded time for this process to get there, and goes to the database when it does not. An
    eventual one takes what this process has.
    Raises Unavailable for what is encrypted while nobody has its key, ContentDestroyed, and ContentTampered.
    """
    reading = await _read(uri, consistency, after)
    cached = reading.cached
    if cached is None or not cached.state.sealed_by:
        return reading
    return Reading(await _opened(cached), reading.offset)


async def _opened(cached: Cached) -> Cached:
    """What is kept encrypted, opened; also what was opened before is only shown while its data key is held."""
    state = cached.state
    if not is_locked(state):
        await data_keys.fetch([state.sealed_by])
        prove_kept(state)
        return cached
    return hub.cache.renew(cached, Cached(await unlock(state)))


async def _read(uri: str, consistency: Consistency, after: int) -> Reading:
    if consistency is Consistency.STRONG or not hub.started:
        return await _present.of(uri)
    if consistency is Consistency.EVENTUAL:
        after = hub.position
    elif not (hub.position >= after or await hub.reached(after, CAUSAL_WAIT_SECONDS)):
        STALES.inc()
        return await _present.of(uri)
    cached = hub.cache.get(uri) or await hub.cache.load(uri, stored_state)
    return _reading(cached, after)


async def exists(uri: str) -> bool:
    """Whether there is a resource under a normalised URI now."""
    state = await in_database(stored_state, uri)
    return state is not None and not state.deleted


async def existing(uris: Sequence[str], after: int | None) -> dict[str, int]:
    """Which of these (normalised) URIs have a resource, each with the offset of its last change.

    That there is one is taken from the cache as `latest_state` does; the others are asked for together.
    """
    found: dict[str, int] = {}
    if after is not None and hub.started and hub.position >= after:
        known = [cached.state for uri in uris if (cached := hub.cache.get(uri)) is not None]
        found = {state.uri: state.offset for state in known if not state.deleted}
    rest = [uri for uri in uris if uri not in found]
    for start in range(0, len(rest), URIS_A_QUERY):
        found |= await in_database(_existing, rest[start : start + URIS_A_QUERY])
    return found


def _existing(uris: Sequence[str]) -> dict[str, int]:
    return dict(Resource.objects.filter(uri__in=uris, deleted=False).values_list("uri", "offset"))


async def latest_state(uri: str, after: int | None) -> ResourceState | None:
    """The state of a resource, a deleted one included, its content maybe locked; None for a URI that was never used.

    That there is one is taken from the cache, as soon as that reflects the log up to `after`, without waiting for it;
    where it does not, or `after` is None, and before it is said that there is none, the database is asked. What this
    process has seen by now, when it returns, is reflected in any case.
    """
    known = None
    if after is not None and hub.started and hub.position >= after:
        known = hub.cache.get(uri)
        if known is None:
            await hub.cache.load(uri, stored_state)
            known = hub.cache.get(uri)
    if known is None or known.state.deleted:
        known = (await _present.of(uri)).cached
        brought = hub.cache.get(uri)
        if known is not None and brought is not None and brought.state.offset > known.state.offset:
            known = brought
    return None if known is None else known.state


def stored_state(uri: str) -> ResourceState | None:
    """The state in the database, that of a deleted resource included; None for a URI never used."""
    row = Resource.objects.filter(uri=uri).first()
    return state_of(row) if row is not None else None


def stored_states(uris: Sequence[str]) -> dict[str, ResourceState]:
    """The states in the database by URI, those of deleted resources included, of content that may be locked."""
    return {row.uri: state_of(row) for row in Resource.objects.filter(uri__in=uris)}


@dataclass(frozen=True, slots=True)
class Listing:
    """Resources without their content. They reflect the log up to `offset`, and nothing of it behind `upto`."""

    states: list[ResourceState]
    offset: int
    upto: int


def list_resources(prefix: str, after: str, limit: int, span: tuple[str, str] = ("", END)) -> Listing:
    """Resources in URI order whose URI begins with `prefix`, comes behind `after`, and is in a span.

    A span is from a URI, up to but without another one.
    """
    offset = bounds()[CHANGES].head
    low, high = max(span[0], prefix), min(span[1], prefix + END)
    rows = Resource.objects.filter(deleted=False, uri__gt=after).order_by("uri").defer("body")
    if low:
        rows = rows.filter(uri__gte=low)
    if high != END:
        rows = rows.filter(uri__lt=high)
    states = [state_of(row, body=b"") for row in rows[:limit]]
    return Listing(states, offset, upto=bounds()[CHANGES].head)


def state_of(row: Resource, body: bytes | None = None) -> ResourceState:
    """The state that a row holds, its content maybe locked; `body` stands in for one that was not loaded."""
    kept, sealer = as_kept(bytes(row.body), row.sealed_by, row.uri) if body is None else (body, "")
    return ResourceState(
        uri=row.uri,
        name=row.name,
        title=row.title,
        description=row.description,
        mime_type=row.mime_type,
        on_conflict=OnConflict(row.on_conflict),
        kind=Kind(row.kind),
        body=kept,
        size=row.size,
        version=row.version,
        deleted=row.deleted,
        created_at=row.created_at,
        updated_at=row.updated_at,
        offset=row.offset,
        sealed_by=sealer,
    )


def _reading(cached: Cached | None, offset: int) -> Reading:
    return Reading(cached, max(offset, cached.state.offset) if cached is not None else offset)


def _read_present(uri: str) -> Reading:
    """What the primary database has, with the head of the log in the same snapshot."""
    row = Resource.objects.filter(uri=uri).annotate(head=HEAD).first()
    return Reading(Cached(state_of(row)), row.head) if row is not None else Reading(None, 0)


_present = FreshReads(_read_present)
