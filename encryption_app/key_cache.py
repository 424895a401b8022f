"""Data keys in memory: so many, each for so long after it was unwrapped, however often it is used."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from encryption_app.envelope import DataKey
from telemetry_app.metrics import CACHE_REQUESTS

MAX_KEYS = 10_000
MAX_DESTROYED = 100_000

HITS = CACHE_REQUESTS.labels("data_keys", "hit")
MISSES = CACHE_REQUESTS.labels("data_keys", "miss")


@dataclass(frozen=True, slots=True)
class Held:
    """A data key with its subject, and until when it may be used."""

    key: DataKey
    subject: str
    until: float


class KeyCache:
    """For any thread. `seconds` tells how long a key is held; those that were destroyed are remembered as such."""

    def __init__(self, seconds: Callable[[], float], size: int = MAX_KEYS) -> None:
        self._seconds = seconds
        self._size = size
        self._lock = threading.Lock()
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._ids: dict[str, str] = {}
        self._destroyed: OrderedDict[str, None] = OrderedDict()

    def get(self, id: str) -> DataKey | None:
        """A data key, while it is held."""
        with self._lock:
            held = self._held.get(id)
            if held is not None:
                if time.monotonic() < held.until:
                    self._held.move_to_end(id)
                    HITS.inc()
                    return held.key
                self._drop(id)
        MISSES.inc()
        return None

    def of(self, subject: str) -> DataKey | None:
        """The data key of a subject, while it is held."""
        id = self._ids.get(subject)
        return None if id is None else self.get(id)

    def put(self, key: DataKey, subject: str) -> None:
        """Hold a key from now on, unless it was destroyed while it was fetched."""
        with self._lock:
            if key.id in self._destroyed:
                return
            self._held[key.id] = Held(key, subject, time.monotonic() + self._seconds())
            self._held.move_to_end(key.id)
            self._ids[subject] = key.id
            while len(self._held) > self._size:
                self._drop(next(iter(self._held)))

    def destroy(self, id: str) -> None:
        """A key was destroyed, and nobody will ever have it again."""
        with self._lock:
            self._drop(id)
            self._destroyed[id] = None
            while len(self._destroyed) > MAX_DESTROYED:
                self._destroyed.popitem(last=False)

    def is_destroyed(self, id: str) -> bool:
        """Whether a key is known to be destroyed."""
        return id in self._destroyed

    def clear(self) -> None:
        """Hold nothing."""
        with self._lock:
            self._held.clear()
            self._ids.clear()
            self._destroyed.clear()

    def _drop(self, id: str) -> None:
        held = self._held.pop(id, None)
        if held is not None and self._ids.get(held.subject) == id:
            del self._ids[held.subject]
