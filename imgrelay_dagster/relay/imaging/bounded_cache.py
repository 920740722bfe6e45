"""A small thread-safe cache that forgets what was used least recently."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """Keeps values while the sum of their weights stays within `limit`.

    A value heavier than the limit is handed out but not kept. Two threads that miss the same key at once both
    make the value: making is not done under the lock, so that a hit never waits for a miss.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._weight = 0
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def weight(self) -> int:
        """Sum of the weights kept now."""
        return self._weight

    def get(self, key: K, make: Callable[[], V], weight: int = 1) -> V:
        """The value of `key`; made, and kept at `weight`, when there is none."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key][0]
        value = make()
        with self._lock:
            if weight <= self._limit and key not in self._values:
                self._values[key] = (value, weight)
                self._weight += weight
                while self._weight > self._limit:
                    self._weight -= self._values.popitem(last=False)[1][1]
        return value
