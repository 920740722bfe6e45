"""The files of the table in docs/formats.md: each command in it makes a few, with tools that others wrote."""

import os
import random
import re
import shlex
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

from PIL import Image

from tests.conftest import ROOT
from tests.support import picture_files as files

DOCS = ROOT / "docs" / "formats.md"
SHARP = ROOT / "tests" / "support" / "sharp_command.js"
MODULES = ROOT / ".npm" / "node_modules"
TOOLS = re.compile(
    r"\b(avifenc|cjpeg|cjxl|convert|cwebp|exiftool|ffmpeg|gif2webp|gifsicle|heif-enc|jpegtran|opj_compress|sharp|webpmux)"
    r"(?= )"
)
QUADRANTS = ((200, 60, 50), (60, 170, 70), (50, 80, 190), (150, 150, 150))
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))


@dataclass(frozen=True)
class File:
    """A file that a row of the table makes: `name` ends in the extension, `command` writes to it.

    `imgrelay` says what it does, `shown` or a reason; `chromium` and `libvips` what these do: `same`, `refused`, or how
    that differs from imgrelay.
    """

    name: str
    command: str
    imgrelay: str
    chromium: str
    libvips: str

    @property
    def missing(self) -> list[str]:
        """The tools of the command that this machine does not have."""
        return [tool for tool in dict.fromkeys(TOOLS.findall(self.command)) if not _has(tool)]


@cache
def _has(tool: str) -> bool:
    if tool == "sharp":
        return shutil.which("node") is not None and (MODULES / "sharp").is_dir()
    if tool == "convert":  # a name that other programs have, too
        found = shutil.which(tool)
        return found is not None and "ImageMagick" in subprocess.getoutput("convert -version")
    return shutil.which(tool) is not None


def table() -> list[File]:
    """Every file of the table in docs/formats.md. A command with `{a,b}` makes several."""
    section = DOCS.read_text().partition("## Files of encoders")[2].partition("\n## ")[0]
    rows = [row for row in section.splitlines() if row.startswith("|") and "`" in row]
    made = []
    for row in rows:
        what, command, imgrelay, chromium, libvips = (cell.strip() for cell in row.strip("|").split("|"))
        command = command.strip("`")
        extension = re.search(r"OUT\.(\w+)", command)
        assert extension is not None, f"no OUT.extension in {command}"
        for number, one in enumerate(_expanded(command), 1):
            name = f"{re.sub('[^a-z0-9]+', '-', what.lower())}-{number}.{extension[1]}"
            made.append(File(name, one, imgrelay, chromium, libvips))
    return made


def _expanded(command: str) -> list[str]:
    """The commands that a shell's braces stand for."""
    parts = re.split(r"(\{[^{}]*\})", command)
    choices = [part[1:-1].split(",") if part.startswith("{") else [part] for part in parts]
    return ["".join(chosen) for chosen in product(*choices)]


def make_all(folder: Path) -> tuple[dict[str, bytes], str]:
    """Make every file that the tools of this machine can make; also returns what failed."""
    make_sources(folder)
    wanted = [file for file in table() if not file.missing]
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        errors = threads.map(lambda command: _run(command, folder), _commands(wanted))
    written = {path.name: path.read_bytes() for path in folder.iterdir()}
    return {file.name: written[file.name] for file in wanted if written.get(file.name)}, "\n".join(filter(None, errors))


def _commands(wanted: list[File]) -> list[str]:
    """The commands that make these files; tools that take long to start make all of theirs in one process."""
    commands: list[str] = []
    batches: dict[str, list[str]] = {"exiftool ": [], "sharp ": []}
    for file in wanted:
        command = re.sub(r"OUT\.\w+", file.name, file.command).replace("TMP", f"tmp-{file.name.rpartition('.')[0]}")
        tool = next((tool for tool in batches if command.startswith(tool)), None)
        if tool is None or ";" in command:
            commands.append(command)
        else:
            batches[tool].append(command.removeprefix(tool))
    batched = (f"{tool}{' -execute '.join(some)}" for tool, some in batches.items() if some)
    return [re.sub(r"\bsharp (?=\S)", f"node {shlex.quote(str(SHARP))} ", each) for each in [*batched, *commands]]


def _run(command: str, folder: Path) -> str:
    """Run a command; returns what it said if it failed."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "NODE_PATH": str(MODULES)}
    done = subprocess.run(
        ["bash", "-ec", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    return f"{command}: exit {done.returncode} {done.stderr[-500:]}" if done.returncode else ""


def make_sources(folder: Path) -> None:
    """The pictures and profiles that the commands read: four quadrants of one colour each, in a frame of gradients."""
    photo, other = quadrants((64, 48)), quadrants((64, 48)).rotate(180)
    opacity = Image.new("L", photo.size, 255)
    opacity.paste(0, (0, 0, 32, 24))
    opacity.paste(128, (32, 0, 64, 24))
    alpha = photo.copy()
    alpha.putalpha(opacity)
    saved = {
        "photo.png": photo,
        "photo.ppm": photo,
        "other.png": other,
        "odd.png": quadrants((61, 47)),
        "odd.ppm": quadrants((61, 47)),
        "large.png": quadrants((256, 128)),
        "noise.ppm": Image.frombytes("RGB", (256, 256), random.Random(1).randbytes(256 * 256 * 3)),
        "icon.png": quadrants((64, 64)),
        "alpha.png": alpha,
        "gray.png": photo.convert("L"),
        "part.png": other.crop((0, 0, 24, 20)),
    }
    for name, image in saved.items():
        image.save(folder / name)
    photo.save(folder / "photo.jpg", quality=92)
    deep = b"".join(b"\0" + b"".join(_sixteen(photo, x, y) for x in range(64)) for y in range(48))
    (folder / "deep.png").write_bytes(files.png((64, 48), 16, 2, deep))
    (folder / "p3.icc").write_bytes(files.rgb_profile(P3, gamma=2.2))
    (folder / "linear.icc").write_bytes(files.rgb_profile())
    (folder / "gray.icc").write_bytes(files.gray_profile(1.8))
    (folder / "turned.exif").write_bytes(b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0")


def quadrants(size: tuple[int, int]) -> Image.Image:
    """A picture of `QUADRANTS`, row by row, on a gradient of all three channels."""
    width, height = size
    image = Image.merge("RGB", [Image.linear_gradient("L").rotate(90 * turn).resize(size) for turn in range(3)])
    for number, color in enumerate(QUADRANTS):
        left, top = width // 2 * (number % 2), height // 2 * (number // 2)
        image.paste(color, (left + 3, top + 3, left + width // 2 - 3, top + height // 2 - 3))
    return image


def _sixteen(image: Image.Image, x: int, y: int) -> bytes:
    """A pixel in 16 bits a channel, with low bits that are not those of the high ones."""
    pixel = image.getpixel((x, y))
    assert isinstance(pixel, tuple)
    return b"".join(bytes((value, 37)) for value in pixel)
