"""Random sampling from a stream of unknown length."""

from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")


class Reservoir(Generic[T]):
    """A uniform random sample of up to `size` items from a stream (Vitter's algorithm R).

    Attributes:
        items: the sample, in no particular order.
    """

    def __init__(self, size: int, random: Random) -> None:
        self._size = size
        self._random = random
        self._count = 0
        self.items: list[T] = []

    def add(self, item: T) -> None:
        """Add the next item of the stream."""
        self._count += 1
        if len(self.items) < self._size:
            self.items.append(item)
        elif (index := self._random.randrange(self._count)) < self._size:
            self.items[index] = item
