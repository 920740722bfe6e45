"""Makes the README's pictures anew, in docs/images: `make pictures`.

`before-after.png` and those of the layouts come from our own engine. The others are taken with Chromium and playwright:
the Dagster UI's pages, `report.html`, and a terminal (tmux) in which the command runs. All that is started for them is
stopped again, and nothing is written but the pictures.
"""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import layout_pictures
import run_pictures
from PIL import Image, ImageDraw, ImageFont

from imgrelay_dagster.demo import child
from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.demo.pictures import picture
from imgrelay_dagster.demo.ports import HOST, free_ports
from imgrelay_dagster.relay.imaging.compose import Output, compose
from imgrelay_dagster.relay.imaging.layout import Layout, Mode
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"

ROWS = (
    ("jpeg/sunset.jpg", "frame.png", Layout(), "frame.png laid over"),
    ("webp/coast.webp", "badge.png", Layout(mode=Mode.WATERMARK, scale=0.32), "badge.png as a watermark"),
)
CELL, GAP, CAPTION = (430, 322), 26, 34
PAPER, INK = "#f4f5f7", "#1c2430"

URLS = 12
START_LIMIT, RUN_LIMIT = 180.0, 180.0
"""Seconds until the UI answers, and until the run has ended."""

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TAKEN = "the pictures of pages and of the terminal were"
EDITOR = "document.querySelector('.CodeMirror').CodeMirror"


def main() -> int:
    """Make all pictures, or say what is missing for those of the UI."""
    IMAGES.mkdir(exist_ok=True)
    save(before_after(), "before-after.png", dither=True)
    save(layout_pictures.sheet(layout_pictures.frames()), "layouts-frame.png", dither=True)
    save(layout_pictures.sheet(layout_pictures.watermarks()), "layouts-watermark.png", dither=True)
    try:
        from playwright.sync_api import Error, sync_playwright  # noqa: PLC0415 - not everybody has it
    except ImportError:
        return _without_browser(TAKEN, "playwright is not installed; run .venv/bin/pip install playwright")
    with contextlib.ExitStack() as stack:
        chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
        try:
            started = stack.enter_context(sync_playwright())
            browser = started.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        except Error as error:
            return _without_browser(
                TAKEN, f"no Chromium could be started; install chromium ({str(error).splitlines()[0]})"
            )
        stack.callback(browser.close)
        interface = stack.enter_context(user_interface())
        page = browser.new_page(viewport={"width": 1400, "height": 820})
        page.set_default_timeout(60_000)
        if shutil.which("tmux"):
            for name, image in run_pictures.terminal_and_report(browser, interface.origin, interface.environment):
                save(image, f"{name}.png")
        else:
            _without_browser("terminal.png and report.png were", "tmux is not installed")
        take_launchpad(page, interface.base)
        take_run_page(page, interface.base)
        run_pictures.relay_days(interface)
        page.set_viewport_size({"width": 1400, "height": 1360})
        save(run_pictures.asset_page(page, interface.base), "asset-page.png")
    return 0


def before_after() -> Image.Image:
    """Source pictures beside what the engine makes of them, one row for each way to lay a template over."""
    templates = TemplateFolder.shipped()
    width = 2 * CELL[0] + 3 * GAP
    canvas = Image.new("RGB", (width, GAP + len(ROWS) * (CELL[1] + CAPTION + GAP // 2)), PAPER)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(17)
    for row, (name, template, layout, caption) in enumerate(ROWS):
        source = picture(name).data
        composed = compose(source, templates.load(template), layout, Output(quality=95), max_pixels=10_000_000)
        top = GAP + row * (CELL[1] + CAPTION + GAP // 2)
        for column, (data, words) in enumerate(((source, name), (composed.data, caption))):
            left = GAP + column * (CELL[0] + GAP)
            image = Image.open(BytesIO(data)).convert("RGB").resize(CELL, Image.Resampling.LANCZOS)
            canvas.paste(image, (left, top))
            draw.text((left + CELL[0] / 2, top + CELL[1] + CAPTION / 2), words, fill=INK, font=font, anchor="mm")
    return canvas


def save(image: Image.Image, name: str, *, dither: bool = False) -> None:
    """Write a PNG with a palette, which is a third of the size. Photographs want to be dithered."""
    path = IMAGES / name
    image = image.convert("RGB")
    palette = image.quantize(256, Image.Quantize.MEDIANCUT, kmeans=1)
    if dither:
        palette = image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    palette.save(path, optimize=True)
    sys.stdout.write(f"{path.relative_to(ROOT)}: {image.width}x{image.height}, {path.stat().st_size // 1000} kB\n")


@contextlib.contextmanager
def user_interface() -> Iterator[run_pictures.Interface]:
    """A Dagster UI with an instance, a destination, an origin and a manifest of its own."""
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imgrelay-pictures-")))
        origin = stack.enter_context(Origin())
        home, manifests = scratch / "home", scratch / "manifests"
        home.mkdir()
        manifests.mkdir()
        settings = (ROOT / "dagster.yaml").read_text()
        if "nux:" not in settings:
            settings += "\nnux:\n  enabled: false\n"  # no invitation to a newsletter over the page
        (home / "dagster.yaml").write_text(settings)
        (manifests / "dozen.txt").write_text("\n".join(origin.many(URLS)) + "\n")
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("IMGRELAY_", "DAGSTER_"))}
        environment = {
            **ours,
            "DAGSTER_HOME": str(home),
            "IMGRELAY_ALLOWED_HOSTS": HOST,
            "IMGRELAY_DESTINATION": str(scratch / "out"),
            "IMGRELAY_DESTINATION_URL": "https://images.example.org",
            "IMGRELAY_MANIFESTS": str(manifests),
            "IMGRELAY_SAMPLE_MANIFEST": "examples/demo.csv",
        }
        log = stack.enter_context((scratch / "dagster.log").open("wb"))
        port = free_ports(1)[0]
        served = child.start(
            [Path(sys.executable).parent / "dagster", "dev", "--host", HOST, "--port", str(port)],
            environment=environment,
            death_signal=signal.SIGTERM,
            folder=ROOT,
            output=log,
        )
        stack.callback(_stop_group, served.pid)
        stack.callback(child.stop, served, seconds=30.0)
        base = f"http://{HOST}:{port}"
        _wait_until_served(base)
        yield run_pictures.Interface(base, origin, environment)


def take_launchpad(page: Any, base: str) -> None:
    """The launchpad as it opens."""
    open_launchpad(page, base)
    save(_seen(page), "launchpad.png")


def take_run_page(page: Any, base: str) -> None:
    """The page of a run that ended well: every URL's chain of steps, and the counts of its report."""
    open_launchpad(page, base)
    page.evaluate(f"{EDITOR}.setValue('manifest: dozen.txt\\n')")
    page.wait_for_timeout(3_000)
    page.get_by_role("button", name="Launch Run").click()
    page.wait_for_url("**/runs/*")
    page.get_by_text("RUN_SUCCESS").wait_for(timeout=RUN_LIMIT * 1000)
    page.set_viewport_size({"width": 1400, "height": 1220})
    page.reload()
    page.get_by_text("RUN_SUCCESS").wait_for()
    lower_divider(page, 690)
    page.get_by_text("Succeeded (").click()  # unfolds the names of the steps
    page.mouse.move(900, 1000)
    page.mouse.wheel(0, 100_000)  # to the end of the log
    page.mouse.move(5, 5)
    page.wait_for_timeout(4_000)
    save(_seen(page), "run-page.png")


def open_launchpad(page: Any, base: str) -> None:
    """Go to the launchpad of job `relay` and wait until its form is there."""
    page.goto(f"{base}/locations/imgrelay/jobs/relay/playground")
    page.locator(".CodeMirror").get_by_text("manifest").first.wait_for()
    page.get_by_text("No errors").wait_for()
    page.wait_for_timeout(3_000)


def lower_divider(page: Any, y: int) -> None:
    """Drag the line between the steps and the log, so that all chains are seen."""
    box = page.locator("[class*=verticalDivider]").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, y, steps=5)
    page.mouse.up()


def _seen(page: Any) -> Image.Image:
    return Image.open(BytesIO(page.screenshot()))


def _wait_until_served(base: str) -> None:
    until = time.monotonic() + START_LIMIT
    while True:
        try:
            with urllib.request.urlopen(f"{base}/server_info", timeout=5):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def _stop_group(leader: int) -> None:
    """`dagster dev` leaves its code server behind, which would wait for it for most of a minute."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGTERM)


def _without_browser(what: str, why: str) -> int:
    sys.stderr.write(f"{what} not made: {why}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
