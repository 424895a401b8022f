"""A bounded memory of this process, kept true by control events."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memory(Generic[K, V]):
    """The values used last, at most `size` of them. `on_drop` hears of each that goes, for whatever reason."""

    def __init__(self, size: int, on_drop: Callable[[K, V], None] | None = None) -> None:
        self._size = size
        self._values: OrderedDict[K, V] = OrderedDict()
        self._on_drop = on_drop

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._size:
            self._dropped(*self._values.popitem(last=False))

    def drop(self, key: K) -> None:
        value = self._values.pop(key, None)
        if value is not None:
            self._dropped(key, value)

    def clear(self) -> None:
        while self._values:
            self._dropped(*self._values.popitem())

    def _dropped(self, key: K, value: V) -> None:
        if self._on_drop is not None:
            self._on_drop(key, value)
