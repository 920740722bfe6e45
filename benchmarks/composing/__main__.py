"""Compare the engine's composing alone, without downloads and Dagster. Every figure is a median of alternating rounds.

python -m benchmarks.composing baseline --against CHECKOUT   CPU time of an image, compared with another checkout
python -m benchmarks.composing vips --python PYTHON          images/s of 12 megapixels, compared with pyvips
python -m benchmarks.composing avif                          CPU time of AVIF output, compared with avifenc
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from PIL import Image, ImageChops, ImageFilter

from imgrelay_dagster.demo.scenes import MOODS, landscape
from imgrelay_dagster.relay.imaging.compose import Format, Output, Template, compose
from imgrelay_dagster.relay.imaging.layout import Layout

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PLAIN = {"jpg": {"quality": 90}, "png": {}, "webp": {"quality": 85}}
QUALITY = 85


def main() -> None:
    """Measure one comparison."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.composing")
    parser.add_argument("what", choices=["baseline", "vips", "avif"])
    parser.add_argument("--against", type=Path, help="another checkout, with its own environment in .venv")
    parser.add_argument("--python", help="a Python with pyvips[binary]")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.what == "baseline":
            baseline(Path(folder), options.against, options.rounds)
        elif options.what == "vips":
            vips(Path(folder), options.python, options.rounds)
        else:
            avif(Path(folder), options.rounds)


def photo(number: int, size: tuple[int, int]) -> Image.Image:
    """A picture with fine detail, as a camera's has."""
    image = landscape(size, number, list(MOODS)[number % len(MOODS)])
    grain = Image.effect_noise(size, 24).filter(ImageFilter.GaussianBlur(0.7)).convert("RGB")
    return ImageChops.add(image.convert("RGB"), grain, offset=-128)


def frame(path: Path, size: tuple[int, int]) -> Path:
    """A frame with a soft inner edge, a tenth wide."""
    alpha = Image.new("L", size, 255)
    margin = min(size) // 10
    alpha.paste(0, (margin, margin, size[0] - margin, size[1] - margin))
    image = Image.new("RGBA", size, "#2a6f97")
    image.putalpha(alpha.filter(ImageFilter.GaussianBlur(3)))
    image.save(path)
    return path


def baseline(folder: Path, against: Path, rounds: int) -> None:
    """Print the CPU time of plain pictures, of this checkout and another."""
    template = frame(folder / "frame.png", (800, 800))
    for kind, options in PLAIN.items():
        pictures = folder / kind
        pictures.mkdir()
        for number, size in enumerate([(800, 600), (640, 800), (1200, 900), (1024, 1024)]):
            photo(number, size).save(pictures / f"{number}.{kind}", **options)  # type: ignore[arg-type]
        here, there, ratios = [], [], []
        for number in range(rounds):
            pair = []
            for checkout in (ROOT, against)[:: 1 if number % 2 else -1]:
                command = [checkout / ".venv/bin/python", HERE / "compose_worker.py", pictures, template]
                pair.append((checkout == ROOT, run([*map(str, command), "jpeg", "image", "12"], cwd=checkout)))
            (ours,), (theirs,) = ([used["cpu"] for own, used in pair if own is mine] for mine in (True, False))
            images = pair[0][1]["images"]
            here.append(1000 * ours / images)
            there.append(1000 * theirs / images)
            ratios.append(ours / theirs)
        print(f"{kind}: {median(here):.2f} ms here, {median(there):.2f} ms there, ratio {spread(ratios)}", flush=True)


def vips(folder: Path, python: str, rounds: int) -> None:
    """Print the images/s of imgrelay and pyvips, with one process for each core."""
    template, pictures = frame(folder / "frame.png", (1080, 1080)), folder / "pictures"
    pictures.mkdir()
    for number in range(4):
        photo(number, (4000, 3000)).save(pictures / f"{number}.jpg", quality=92)
    ours = [sys.executable, HERE / "compose_worker.py", pictures, template, "jpeg", "template", "4"]
    theirs = [python, HERE / "vips_worker.py", pictures, template, "4"]
    rates: dict[bool, list[float]] = {True: [], False: []}
    costs: dict[bool, list[float]] = {True: [], False: []}
    for number in range(rounds):
        for own in (True, False)[:: 1 if number % 2 else -1]:
            per_second, cpu = rate(list(map(str, ours if own else theirs)))
            rates[own].append(per_second)
            costs[own].append(1000 * cpu)
    pairs = [a / b for a, b in zip(rates[True], rates[False], strict=True)]
    print(f"imgrelay {median(rates[True]):.2f}/s, pyvips {median(rates[False]):.2f}/s, ratio {spread(pairs)}")
    pairs = [a / b for a, b in zip(costs[True], costs[False], strict=True)]
    print(f"imgrelay {median(costs[True]):.1f} ms CPU, pyvips {median(costs[False]):.1f} ms, ratio {spread(pairs)}")


def avif(folder: Path, rounds: int) -> None:
    """Print the CPU time of AVIF output, decoding and composing included, and of avifenc on the same pixels."""
    template, pictures, made = frame(folder / "frame.png", (800, 800)), folder / "pictures", folder / "made"
    pictures.mkdir()
    made.mkdir()
    loaded = Template.load(template.read_bytes(), "frame.png")
    for number, size in enumerate([(1200, 900), (900, 1200), (1280, 800)]):
        photo(number, size).save(pictures / f"{number}.jpg", quality=90)
        data = (pictures / f"{number}.jpg").read_bytes()
        composed = compose(data, loaded, Layout(), Output(Format.PNG, png_compress_level=0), max_pixels=10**7)
        (made / f"{number}.png").write_bytes(composed.data)
    ours = [sys.executable, HERE / "compose_worker.py", pictures, template, "avif", "image", "1"]
    quantizer = str(round((100 - QUALITY) * 63 / 100))
    theirs = ["avifenc", "--speed", "6", "--jobs", "1", "--yuv", "420", "--min", "0", "--max", "63"]
    theirs += ["-a", "end-usage=q", "-a", f"cq-level={quantizer}"]
    times: list[tuple[float, float]] = []
    for _ in range(rounds):
        used = run(list(map(str, ours)), cwd=ROOT)
        before = child_cpu()
        for path in sorted(made.iterdir()):
            subprocess.run([*theirs, path, folder / "out.avif"], check=True, capture_output=True)
        times.append((used["cpu"] / used["images"], (child_cpu() - before) / len(list(made.iterdir()))))
    here, there = (1000 * median(each) for each in zip(*times, strict=True))
    print(f"imgrelay {here:.0f} ms, avifenc {there:.0f} ms, ratio {spread([a / b for a, b in times])}")


def run(command: Sequence[str], cwd: Path) -> dict[str, float]:
    """Run a worker; return what it printed."""
    return json.loads(subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout)  # type: ignore[no-any-return]


def rate(command: Sequence[str]) -> tuple[float, float]:
    """The images/s of as many workers as there are cores, together, and the CPU seconds of an image."""
    environment = {**os.environ, "VIPS_CONCURRENCY": "1"}
    cores = range(len(os.sched_getaffinity(0)))
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) for _ in cores]
    used = [json.loads(worker.communicate()[0]) for worker in workers]
    per_second = sum(each["images"] / each["wall"] for each in used)
    return per_second, sum(each["cpu"] for each in used) / sum(each["images"] for each in used)


def child_cpu() -> float:
    """CPU seconds of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def spread(values: Sequence[float]) -> str:
    """The median of the values, and the least and the greatest."""
    return f"{median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


if __name__ == "__main__":
    main()
