"""The read cache: present states of resources by URI, kept true by the hub, bounded by bytes (seed §11.1)."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from audit_app.database import in_database
from audit_app.deadlines import without_deadline
from resources_app.state import ResourceState, encode
from telemetry_app.metrics import CACHE_REQUESTS

MAX_BYTES = 64 * 1024 * 1024
ENTRY_OVERHEAD_BYTES = 1024

HITS = CACHE_REQUESTS.labels("resources", "hit")
MISSES = CACHE_REQUESTS.labels("resources", "miss")
STALES = CACHE_REQUESTS.labels("resources", "stale")


class Cached:
    """A state with its JSON, made when it is first asked for.

    `forms` is what transports have made of that, each by a name of its own: it goes when the state does.
    """

    __slots__ = ("_json", "forms", "size", "state")

    def __init__(self, state: ResourceState) -> None:
        self.state = state
        # the body, its JSON, and one form
        self.size = 3 * len(state.body) + ENTRY_OVERHEAD_BYTES
        self.forms: dict[str, bytes] = {}
        self._json: bytes | None = None

    @property
    def json(self) -> bytes:
        """The resource as JSON (contract §3)."""
        if self._json is None:
            self._json = encode(self.state)
        return self._json


class ReadCache:
    """One process's cache. Of two states of a URI, the one with the higher offset stays."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[str, Cached] = OrderedDict()
        self._loading: dict[str, asyncio.Task[Cached | None]] = {}
        self._applied_while_loading: dict[str, ResourceState] = {}

    def clear(self) -> None:
        """Forget everything, also what is being read."""
        self._loading.clear()
        self._applied_while_loading.clear()
        self._entries.clear()
        self._bytes = 0

    def get(self, uri: str) -> Cached | None:
        """The cached state, a deleted one included; None when it is not known here."""
        cached = self._entries.get(uri)
        if cached is None:
            MISSES.inc()
            return None
        self._entries.move_to_end(uri)
        HITS.inc()
        return cached

    def apply(self, state: ResourceState) -> ResourceState | None:
        """Take in what the log says of a resource; returns what was known of it until now."""
        if state.uri in self._loading:
            self._applied_while_loading[state.uri] = state
        before = self._entries.get(state.uri)
        self._put(Cached(state))
        return None if before is None else before.state

    def drop(self, uri: str) -> None:
        """Forget a resource, also what is being read of it."""
        self._loading.pop(uri, None)
        self._applied_while_loading.pop(uri, None)
        entry = self._entries.pop(uri, None)
        if entry is not None:
            self._bytes -= entry.size

    def renew(self, old: Cached, fresh: Cached) -> Cached:
        """Have an entry replaced by the same state, opened, if it is still there. Returns the fresh one."""
        if self._entries.get(old.state.uri) is old:
            self._put(fresh)
        return fresh

    async def load(self, uri: str, read: Callable[[str], ResourceState | None]) -> Cached | None:
        """Read a resource from the database into the cache; callers that ask meanwhile share the one read.

        A change that the log brings during the read wins over what the read found.
        """
        task = self._loading.get(uri)
        if task is None:
            task = self._loading[uri] = asyncio.get_running_loop().create_task(
                self._load(uri, read), context=without_deadline()
            )
        return await asyncio.shield(task)

    async def _load(self, uri: str, read: Callable[[str], ResourceState | None]) -> Cached | None:
        task = asyncio.current_task()
        try:
            found = await in_database(read, uri)
        finally:
            is_current = self._loading.get(uri) is task
            applied = None
            if is_current:
                del self._loading[uri]
                applied = self._applied_while_loading.pop(uri, None)
        if applied is not None and (found is None or applied.offset > found.offset):
            found = applied
        if found is None:
            return None
        return self._put(Cached(found)) if is_current else Cached(found)

    def _put(self, cached: Cached) -> Cached:
        uri = cached.state.uri
        old = self._entries.get(uri)
        if old is not None:
            if old.state.offset > cached.state.offset:
                return old
            self._bytes -= old.size
        self._entries[uri] = cached
        self._entries.move_to_end(uri)
        self._bytes += cached.size
        while self._bytes > self._max_bytes and self._entries:
            _, dropped = self._entries.popitem(last=False)
            self._bytes -= dropped.size
        return cached
