"""Makes the pictures of the README and the docs, in docs/images: `make pictures`.

The engine composes `before-after.png` and the pictures of the layouts. The others are screenshots, taken with Chromium
and playwright: pages of the Dagster UI, `report.html`, and a terminal (tmux) that runs the command. The script stops
all processes that it starts, and writes only the pictures.
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
    ("jpeg/sunset.jpg", "frame.png", Layout(), "frame.png as a frame"),
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
SCREENSHOTS = "the screenshots of pages and of the terminal"
EDITOR = "document.querySelector('.CodeMirror').CodeMirror"


def main() -> int:
    """Make all pictures. If a tool for screenshots is missing, print which one and return 1."""
    IMAGES.mkdir(exist_ok=True)
    save(before_after(), "before-after.png", dither=True)
    save(layout_pictures.sheet(layout_pictures.frames()), "layouts-frame.png", dither=True)
    save(layout_pictures.sheet(layout_pictures.watermarks()), "layouts-watermark.png", dither=True)
    try:
        from playwright.sync_api import Error, sync_playwright  # noqa: PLC0415 - optional
    except ImportError:
        return _report_missing(SCREENSHOTS, "playwright is not installed; run .venv/bin/pip install playwright")
    with contextlib.ExitStack() as stack:
        chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
        try:
            started = stack.enter_context(sync_playwright())
            browser = started.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        except Error as error:
            return _report_missing(
                SCREENSHOTS, f"no Chromium could be started; install chromium ({str(error).splitlines()[0]})"
            )
        stack.callback(browser.close)
        interface = stack.enter_context(user_interface())
        page = browser.new_page(viewport={"width": 1400, "height": 820})
        page.set_default_timeout(60_000)
        if shutil.which("tmux"):
            for name, image in run_pictures.terminal_and_report(browser, interface.origin, interface.environment):
                save(image, f"{name}.png")
        else:
            _report_missing("terminal.png and report.png", "tmux is not installed")
        take_launchpad(page, interface.base)
        take_run_page(page, interface.base)
        run_pictures.relay_days(interface)
        page.set_viewport_size({"width": 1400, "height": 1360})
        save(run_pictures.asset_page(page, interface.base), "asset-page.png")
    return 0


def before_after() -> Image.Image:
    """Draw source pictures next to the composed ones, one row per layout mode."""
    templates = TemplateFolder.shipped()
    width = 2 * CELL[0] + 3 * GAP
    canvas = Image.new("RGB", (width, GAP + len(ROWS) * (CELL[1] + CAPTION + GAP // 2)), PAPER)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(17)
    for row, (name, template, layout, caption) in enumerate(ROWS):
        source = picture(name).data
        composed = compose(source, templates.load(template), layout, Output(quality=95), max_pixels=10_000_000)
        top = GAP + row * (CELL[1] + CAPTION + GAP // 2)
        for column, (data, text) in enumerate(((source, name), (composed.data, caption))):
            left = GAP + column * (CELL[0] + GAP)
            image = Image.open(BytesIO(data)).convert("RGB").resize(CELL, Image.Resampling.LANCZOS)
            canvas.paste(image, (left, top))
            draw.text((left + CELL[0] / 2, top + CELL[1] + CAPTION / 2), text, fill=INK, font=font, anchor="mm")
    return canvas


def save(image: Image.Image, name: str, *, dither: bool = False) -> None:
    """Write a PNG with a palette, which needs a third of the space. Photographs need dithering."""
    path = IMAGES / name
    image = image.convert("RGB")
    palette = image.quantize(256, Image.Quantize.MEDIANCUT, kmeans=1)
    if dither:
        palette = image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    palette.save(path, optimize=True)
    sys.stdout.write(f"{path.relative_to(ROOT)}: {image.width}x{image.height}, {path.stat().st_size // 1000} kB\n")


@contextlib.contextmanager
def user_interface() -> Iterator[run_pictures.Interface]:
    """Serve a Dagster UI with its own instance, destination, origin and manifest."""
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imgrelay-pictures-")))
        origin = stack.enter_context(Origin())
        home, manifests = scratch / "home", scratch / "manifests"
        home.mkdir()
        manifests.mkdir()
        settings = (ROOT / "dagster.yaml").read_text()
        if "nux:" not in settings:
            settings += "\nnux:\n  enabled: false\n"  # hides the newsletter dialog
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
    """Take the launchpad as it opens."""
    open_launchpad(page, base)
    save(_screenshot(page), "launchpad.png")


def take_run_page(page: Any, base: str) -> None:
    """Take the page of a successful run, with the steps of each URL and the counts of its report."""
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
    page.get_by_text("Succeeded (").click()  # expands the list of steps
    page.mouse.move(900, 1000)
    page.mouse.wheel(0, 100_000)  # to the end of the log
    page.mouse.move(5, 5)
    page.wait_for_timeout(4_000)
    save(_screenshot(page), "run-page.png")


def open_launchpad(page: Any, base: str) -> None:
    """Open the launchpad of job `relay` and wait until its form is loaded."""
    page.goto(f"{base}/locations/imgrelay/jobs/relay/playground")
    page.locator(".CodeMirror").get_by_text("manifest").first.wait_for()
    page.get_by_text("No errors").wait_for()
    page.wait_for_timeout(3_000)


def lower_divider(page: Any, y: int) -> None:
    """Drag the divider between the steps and the log down, so that all steps are visible."""
    box = page.locator("[class*=verticalDivider]").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, y, steps=5)
    page.mouse.up()


def _screenshot(page: Any) -> Image.Image:
    return Image.open(BytesIO(page.screenshot()))


def _wait_until_served(base: str) -> None:
    deadline = time.monotonic() + START_LIMIT
    while True:
        try:
            with urllib.request.urlopen(f"{base}/server_info", timeout=5):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _stop_group(leader: int) -> None:
    """Stop the code server, which `dagster dev` leaves running for most of a minute."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGTERM)


def _report_missing(pictures: str, reason: str) -> int:
    sys.stderr.write(f"{pictures} were not made: {reason}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
