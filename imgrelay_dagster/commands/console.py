"""The output of `imgrelay run`: progress during the run, a summary at its end."""

import io
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, cast

from rich.console import Console as RichConsole
from rich.live import Live
from rich.text import Text

from imgrelay_dagster.commands.progress_display import Display
from imgrelay_dagster.relay.progress.announcer import ANNOUNCE_INTERVAL, sentence
from imgrelay_dagster.relay.progress.notes import RunProgress
from imgrelay_dagster.relay.records.layout import REPORT_FILE, results_prefix
from imgrelay_dagster.relay.records.summary import Summary, dump_summary
from imgrelay_dagster.relay.redact import printable

ProgressReader = Callable[[], RunProgress | None]
"""Returns the run's progress, or None if it is not known yet."""

FRAME_INTERVAL = 0.2
"""Seconds between two redraws of the display."""

FRAMES_PER_READ = 3
"""The display reads the run's progress every third frame."""


class Console:
    """Prints progress and errors to standard error, and the summary to standard output.

    A closed terminal, or a pipe whose reader is gone, never ends a run.

    Attributes:
        draw_lock: held while the display is drawn. Hold it to prevent drawing.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._out = RichConsole(highlight=False)
        self._err = RichConsole(stderr=True, highlight=False)
        self._read_progress: ProgressReader | None = None
        self._stopping = False
        self._live_display: Display | None = None
        self.draw_lock = threading.Lock()

    def error(self, message: str) -> None:
        """Print one error message."""
        self._print(self._err, sys.stderr, Text(printable(f"imgrelay: {message}"), style="red"))

    def note(self, message: str) -> None:
        """Print one message that is not an error."""
        self._print(self._err, sys.stderr, Text(printable(f"imgrelay: {message}")))

    def follow(self, read_progress: ProgressReader) -> None:
        """Show a run's progress from now on.

        A separate thread calls `read_progress`. If it fails to read the store, the display keeps what it showed before.
        """
        self._read_progress = read_progress

    def stopping(self) -> None:
        """Show that the run is being canceled."""
        self._stopping = True
        if not self._err.is_terminal:
            self.note("stopping")

    def restore_terminal(self) -> None:
        """Erase the display and show the cursor again, when the process exits without stopping the display."""
        if self._err.is_terminal and self._live_display is not None:
            up = f"\x1b[{self._live_display.height - 1}A" if self._live_display.height > 1 else ""
            with suppress(OSError):
                os.write(2, f"\r{up}\x1b[J\x1b[?25h".encode())

    @contextmanager
    def progress(self) -> Iterator[None]:
        """Show progress while the body runs: a live display on a terminal, otherwise one line every ten seconds."""
        stop = threading.Event()
        show = self._show_display if self._err.is_terminal else self._print_lines

        def follow() -> None:
            with suppress(OSError, SystemExit):  # rich raises SystemExit when the reader of a pipe is gone
                show(stop)

        follower = threading.Thread(target=follow, name="progress", daemon=True)
        follower.start()
        try:
            yield
        finally:
            stop.set()
            follower.join(2.0)

    def _show_display(self, stop: threading.Event) -> None:
        display = self._live_display = Display()
        live = Live(display, console=self._err, transient=True, auto_refresh=False)
        try:
            with self.draw_lock:
                live.start()
            for number in itertools.count():
                if stop.wait(FRAME_INTERVAL):
                    break
                if number % FRAMES_PER_READ == 0:
                    display.show(self._current_progress(), time.time())
                display.stopping = self._stopping
                with self.draw_lock:
                    live.refresh()
        finally:
            with self.draw_lock:
                live.stop()

    def _print_lines(self, stop: threading.Event) -> None:
        while not stop.wait(ANNOUNCE_INTERVAL):
            progress = self._current_progress()
            if progress is not None and progress.entries:
                self.note(sentence(progress, time.time()))

    def _current_progress(self) -> RunProgress | None:
        """Read the progress. Steps add and delete notes meanwhile, and store or database may be unreachable."""
        try:
            return self._read_progress() if self._read_progress is not None else None
        except Exception:  # noqa: BLE001 - no failure to read may end the display
            return None

    def summary(self, summary: Summary, destination: str) -> None:
        """Print the run's summary: a table, or one line of JSON."""
        if self._as_json:
            _write(sys.stdout, dump_summary(summary).decode() + "\n")
            return
        colour = {"success": "green", "failure": "red"}.get(summary.status, "yellow")
        lines = [("status", summary.status + _reservation(summary), f"bold {colour}")]
        for name in ("entries", "uploaded", "unchanged", "failed", "not_attempted"):
            lines.append((name.replace("_", " "), f"{getattr(summary, name):,}", ""))
            if name == "failed":
                lines += [(f"  {reason}", f"{count:,}", "dim") for reason, count in summary.reasons.items()]
                if summary.not_asked:
                    again = "failed permanently in an earlier run; --retry-permanent asks again"
                    lines.append(("  not asked", f"{summary.not_asked:,} {again}", "dim"))
        lines.append(("time", f"{summary.seconds:.1f} s, {summary.images_per_second:.1f} images/s", ""))
        if summary.forecast is not None:
            lines += [(name, text, "") for name, text in summary.forecast.lines()]
        lines.append(("images", destination, ""))
        results = f"{destination}/{results_prefix(summary.dataset, summary.run_id)}"
        lines.append(("results", results, ""))
        lines.append(("report", f"{results}/{REPORT_FILE}", ""))
        width = max(len(name) for name, _, _ in lines) + 2
        self._print(
            self._out,
            sys.stdout,
            *(Text(printable(f"{name:<{width}}{value}"), style=style) for name, value, style in lines),
        )

    def preview(self, lines: list[tuple[str, str]], as_json: str) -> None:
        """Print what a run would do: a table, or one line of JSON."""
        if self._as_json:
            _write(sys.stdout, as_json + "\n")
            return
        width = max(len(name) for name, _ in lines) + 2
        self._print(self._out, sys.stdout, *(Text(printable(f"{name:<{width}}{value}")) for name, value in lines))

    @staticmethod
    def _print(console: RichConsole, stream: IO[str], *texts: Text) -> None:
        """Write without rich's own buffer, which raises at every later write once the terminal is gone."""
        rendered = RichConsole(file=io.StringIO(), force_terminal=console.is_terminal, highlight=False)
        for text in texts:
            rendered.print(text, soft_wrap=True)
        _write(stream, cast(io.StringIO, rendered.file).getvalue())


def _reservation(summary: Summary) -> str:
    """What to know about a success that is none in full; empty for other runs."""
    if summary.status != "success":
        return ""
    if not summary.entries:
        return ", though the list is empty"
    if summary.failed:
        return f", though {summary.failed_percentage:.1f} % of the entries failed, which is tolerated"
    return ""


def _write(stream: IO[str], text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        # The reader is gone. The interpreter flushes the stream again when it exits; that must not raise.
        with suppress(OSError), open(os.devnull, "w") as null:  # noqa: PTH123
            os.dup2(null.fileno(), stream.fileno())
