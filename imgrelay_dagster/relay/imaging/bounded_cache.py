"""A small thread-safe LRU cache with a limit on the sum of its entries' weights."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """Keeps the most recently used values while the sum of their weights stays within `limit`.

    A value heavier than the limit is returned but not kept. Values are created outside the lock, so that a hit
    never waits for a miss; two threads that miss the same key at the same time both create the value.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._weight = 0
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def weight(self) -> int:
        """The sum of the weights of all cached values."""
        return self._weight

    def get_or_create(self, key: K, create: Callable[[], V], weight: int = 1) -> V:
        """Return the value of `key`; on a miss, create it and cache it with this `weight`."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key][0]
        value = create()
        with self._lock:
            if weight <= self._limit and key not in self._values:
                self._values[key] = (value, weight)
                self._weight += weight
                while self._weight > self._limit:
                    self._weight -= self._values.popitem(last=False)[1][1]
        return value
