"""Takes pictures of runs: the terminal during a run, its report.html, and the asset page after a few days."""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from imgrelay_dagster.demo.faults import FAULTS
from imgrelay_dagster.demo.origin import Origin

COLUMNS, LINES = 92, 20
ENTRIES = 1200
DAYS = 4
HALFWAY = 70
"""Progress in percent up to which the terminal is captured."""

LIMIT = 240.0
"""Time limit of each command, in seconds."""

TERMINAL = """
<body style="margin:0;background:#f4f5f7"><div id="terminal" style="display:inline-block;margin:18px;padding:0 0 14px;
border-radius:10px;background:#1b2129;box-shadow:0 6px 24px rgb(20 30 45 / 25%)">
<div style="padding:10px 14px;font:600 12px system-ui;color:#8d9aa8">{title}</div>
<pre style="margin:0;padding:2px 18px 4px;color:#e4e9ef;font:14px/1.45 'DejaVu Sans Mono',monospace">{code}</pre>
</div></body>
"""


@dataclass(frozen=True)
class Interface:
    """A served Dagster UI, its origin, and the environment variables of both."""

    base: str
    origin: Origin
    environment: dict[str, str]


def terminal_and_report(browser: Any, origin: Origin, environment: dict[str, str]) -> Iterator[tuple[str, Image.Image]]:
    """Run the command in a terminal, capture it half-way, and take its report. Yields names and pictures."""
    with tempfile.TemporaryDirectory(prefix="imgrelay-terminal-") as folder:
        scratch = Path(folder)
        (scratch / "autumn.txt").write_text("\n".join(_urls(origin)) + "\n")
        command = "imgrelay run --manifest autumn.txt --tolerated-failure-percentage 10 --urls-per-task 100"
        shown = _in_terminal(scratch, command, environment)
        yield "terminal", _terminal_picture(browser, command, shown)
        (report,) = (scratch / "out").glob("_relay/autumn/runs/*/report.html")
        yield "report", _screenshot(browser, report, 1160, 1980)
        yield "report-phone", _screenshot(browser, report, 390, 1100, dark=True)


def _urls(origin: Origin) -> list[str]:
    """Return many good URLs, and one bad URL in thirty. The bad ones fail quickly."""
    bad = [path for path in FAULTS if path.startswith("/bad/") and "slow" not in path and "drip" not in path]
    urls = origin.many(ENTRIES)
    for number in range(ENTRIES // 30):
        urls[number * 30 + 11] = origin.url(f"{bad[number % len(bad)]}?{number}")
    return urls


def _in_terminal(scratch: Path, command: str, environment: dict[str, str]) -> str:
    """Return the text of a terminal when about half of the run is done. Waits until the run has ended."""
    environment = {**environment, "DAGSTER_HOME": str(scratch), "IMGRELAY_DESTINATION": "out", "TERM": "xterm-256color"}
    (scratch / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    script = scratch / "run.sh"
    binaries = Path(sys.executable).parent
    script.write_text(f"cd {scratch}\nexport PATH={binaries}:$PATH\n{command}\ntouch over\nsleep {LIMIT}\n")
    tmux = ["tmux", "-L", f"imgrelay-{scratch.name}", "-f", "/dev/null"]
    subprocess.run(
        [*tmux, "new-session", "-d", "-x", str(COLUMNS), "-y", str(LINES), f"bash {script}"],
        env=environment,
        check=True,
    )
    try:
        shown, until = "", time.monotonic() + LIMIT
        while not (scratch / "over").exists() and time.monotonic() < until:
            time.sleep(0.3)
            now = subprocess.run([*tmux, "capture-pane", "-p", "-e"], capture_output=True, text=True, check=True).stdout
            done = re.search(r"(\d+) % .*left", now)
            if done and int(done[1]) <= HALFWAY:
                shown = now
        return shown
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)


def _terminal_picture(browser: Any, command: str, shown: str) -> Image.Image:
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    console.print(Text(f"$ {command}"), soft_wrap=True)
    # Remove tmux's default colours; the picture has its own.
    bare = shown.rstrip().replace("\x1b[49m", "").replace("\x1b[39m", "\x1b[0m")
    console.print(Text.from_ansi(bare), soft_wrap=True)
    html = console.export_html(inline_styles=True, code_format="{code}", theme=MONOKAI)
    page = browser.new_page(viewport={"width": 1000, "height": 400}, device_scale_factor=1.5)
    page.set_content(TERMINAL.format(title="imgrelay", code=html))
    picture = Image.open(BytesIO(page.screenshot(clip=_clip(page))))
    page.close()
    return picture


def _clip(page: Any) -> dict[str, float]:
    box = page.locator("#terminal").bounding_box()
    return {"x": 0, "y": 0, "width": box["width"] + 36, "height": box["height"] + 36}


def _screenshot(browser: Any, report: Path, width: int, height: int, *, dark: bool = False) -> Image.Image:
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light")
    page.goto(report.as_uri())
    picture = Image.open(BytesIO(page.screenshot()))
    page.close()
    return picture


def relay_days(interface: Interface) -> None:
    """Relay the manifests of a few days, each with one more bad URL than the day before."""
    manifests = Path(interface.environment["IMGRELAY_MANIFESTS"])
    config = Path(interface.environment["DAGSTER_HOME"]) / "days.yaml"
    config.write_text("ops: {relayed_images: {config: {tolerated_failure_percentage: 50}}}\n")
    for number in range(DAYS):
        day = (datetime.now(UTC) - timedelta(days=DAYS - number)).date().isoformat()
        bad = [interface.origin.url(f"/bad/gone.jpg?{day}-{count}") for count in range(number)]
        good = [f"{url}&day={day}" for url in interface.origin.many(10 + 3 * number)]
        (manifests / f"{day}.txt").write_text("\n".join(good + bad) + "\n")
        command = ["asset", "materialize", "--select", "relayed_images", "--partition", day]
        subprocess.run(
            [
                Path(sys.executable).parent / "dagster",
                *command,
                "-m",
                "imgrelay_dagster.definitions",
                "--config",
                config,
            ],
            env=interface.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=LIMIT,
            check=True,
        )


def asset_page(page: Any, base: str) -> Image.Image:
    """Take the page of asset `relayed_images` with the latest day."""
    day = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    page.goto(f"{base}/assets/relayed_images?view=partitions&partition={day}")
    page.get_by_text("contact_sheet").first.wait_for()
    page.wait_for_timeout(5_000)
    return Image.open(BytesIO(page.screenshot()))
