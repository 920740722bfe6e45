"""Where the bytes of one entry are in staging."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PackLocation:
    """The bytes of one entry: `size` bytes of the object `key`, from offset `start`.

    `whole_object`: the entry has the object to itself.
    """

    key: str
    start: int
    size: int
    whole_object: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        return PackLocation, (self.key, self.start, self.size, self.whole_object)
