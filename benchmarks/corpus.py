"""The pictures and manifests of the benchmarks. Pictures are drawn once and are the same every time."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from PIL import Image, ImageChops, ImageFilter

from imgrelay_dagster.demo.patterns import PATTERNS, pattern
from imgrelay_dagster.demo.scenes import MOODS, Size, landscape

SMALL, PHOTO = "small", "photo"
KINDS = (SMALL, PHOTO)

_SIZES: dict[str, tuple[Size, ...]] = {
    SMALL: ((320, 240),),
    PHOTO: ((1200, 900), (900, 1200), (1280, 800), (1024, 1024)),
}
_COUNT = {SMALL: 200, PHOTO: 40}
_FORMATS = {SMALL: ("jpg",), PHOTO: ("jpg",) * 8 + ("png", "webp")}


def make(folder: Path) -> dict[str, list[str]]:
    """Draw missing pictures and return the paths of all by kind, such as `small/7.jpg`."""
    return {kind: [_picture_file(folder, kind, number) for number in range(_COUNT[kind])] for kind in KINDS}


def urls(bases: Sequence[str], names: list[str], count: int) -> Iterator[str]:
    """Yield `count` different URLs below `bases` in turn. They name the pictures in turn (see `origin.py`)."""
    for number in range(count):
        kind, _, name = names[number % len(names)].partition("/")
        yield f"{bases[number % len(bases)]}/{kind}/{number}/{name}"


def write_manifest(path: Path, lines: Iterator[str]) -> Path:
    """Write a manifest with one URL per line."""
    with path.open("w") as file:
        file.writelines(f"{line}\n" for line in lines)
    return path


def _picture_file(folder: Path, kind: str, number: int) -> str:
    suffix = _FORMATS[kind][number % len(_FORMATS[kind])]
    name = f"{kind}/{number}.{suffix}"
    path = folder / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_bytes(_encode(_draw(kind, number), suffix))
        part.rename(path)
    return name


def _draw(kind: str, number: int) -> Image.Image:
    """Draw a landscape or a pattern with camera noise. Without noise the files would be unrealistically small."""
    size = _SIZES[kind][number % len(_SIZES[kind])]
    scenes = [*MOODS, *PATTERNS]
    scene = scenes[number % len(scenes)]
    picture = (pattern if scene in PATTERNS else landscape)(size, number + 1, scene)
    grain = Image.frombytes("L", size, Random(number).randbytes(size[0] * size[1]))
    grain = grain.filter(ImageFilter.BoxBlur(1)).point([96 + value // 4 for value in range(256)])
    return ImageChops.add(picture, Image.merge("RGB", (grain, grain, grain)), 1, -128)


def _encode(picture: Image.Image, suffix: str) -> bytes:
    buffer = io.BytesIO()
    options: dict[str, tuple[str, dict[str, int]]] = {
        "jpg": ("JPEG", {"quality": 88}),
        "png": ("PNG", {"compress_level": 6}),
        "webp": ("WEBP", {"quality": 85}),
    }
    name, arguments = options[suffix]
    picture.save(buffer, name, **arguments)
    return buffer.getvalue()
