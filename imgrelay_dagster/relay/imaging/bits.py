"""Reads numbers of a few bits from the header of a bitstream."""


class Bits:
    """Reads bits, highest first; behind the end it reads zeros."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    @property
    def exhausted(self) -> bool:
        """Whether more bits were read than there are."""
        return self._left < 0

    def read(self, count: int) -> int:
        """Return the number that the next `count` bits are."""
        self._left -= count
        return self._value >> self._left & (1 << count) - 1 if self._left >= 0 else 0
