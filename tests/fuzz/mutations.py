"""Makes new inputs out of old ones: small damages to bytes, many of them where lengths and types stand."""

import random
from collections.abc import Callable, Sequence

_EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutated(corpus: Sequence[bytes], chance: random.Random) -> bytes:
    """One of the corpus with one to six damages."""
    data = bytearray(chance.choice(corpus))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        chance.choice(_DAMAGES)(data, chance, corpus)
    return bytes(data)


def _place(data: bytearray, chance: random.Random) -> int:
    """Half of the damages hit the first 200 bytes, where the structure is."""
    return chance.randrange(min(len(data), 200 if chance.random() < 0.5 else len(data)) or 1)


def _flip(data: bytearray, chance: random.Random, _corpus: Sequence[bytes]) -> None:
    if data:
        data[_place(data, chance)] ^= 1 << chance.randrange(8)


def _number(data: bytearray, chance: random.Random, _corpus: Sequence[bytes]) -> None:
    """A number at the edge of its range, in either byte order."""
    size = chance.choice((1, 2, 4))
    at = _place(data, chance)
    value = chance.choice(_EDGES) & (1 << 8 * size) - 1
    data[at : at + size] = value.to_bytes(size, chance.choice(("big", "little")))


def _cut(data: bytearray, chance: random.Random, _corpus: Sequence[bytes]) -> None:
    del data[_place(data, chance) :]


def _remove(data: bytearray, chance: random.Random, _corpus: Sequence[bytes]) -> None:
    at = _place(data, chance)
    del data[at : at + chance.choice((1, 2, 4, 16, 300))]


def _repeat(data: bytearray, chance: random.Random, _corpus: Sequence[bytes]) -> None:
    at = _place(data, chance)
    piece = data[at : at + chance.choice((1, 4, 40, 1000))]
    data[at:at] = piece * chance.choice((1, 2, 50))


def _insert(data: bytearray, chance: random.Random, _corpus: Sequence[bytes]) -> None:
    at = _place(data, chance)
    data[at:at] = chance.randbytes(chance.choice((1, 4, 30)))


def _splice(data: bytearray, chance: random.Random, corpus: Sequence[bytes]) -> None:
    """The beginning of one and the end of another."""
    other = chance.choice(corpus)
    data[_place(data, chance) :] = other[chance.randrange(len(other) or 1) :]


_DAMAGES: tuple[Callable[[bytearray, random.Random, Sequence[bytes]], None], ...] = (
    *(_flip, _flip, _number, _number),
    *(_cut, _remove, _repeat, _insert, _splice),
)
