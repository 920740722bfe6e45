"""A few out of many, without knowing how many there will be."""

from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")


class Reservoir(Generic[T]):
    """Keeps up to `size` of the items it is given, each with the same chance (Vitter's algorithm R)."""

    def __init__(self, size: int, chance: Random) -> None:
        self._size = size
        self._chance = chance
        self._seen = 0
        self.kept: list[T] = []

    def add(self, item: T) -> None:
        """Take an item into account."""
        self._seen += 1
        if len(self.kept) < self._size:
            self.kept.append(item)
        elif (place := self._chance.randrange(self._seen)) < self._size:
            self.kept[place] = item
