"""What the command line shows: progress while the run goes on, a summary at its end."""

import io
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, cast

from obstore.exceptions import BaseError
from rich.console import Console as RichConsole
from rich.live import Live
from rich.text import Text

from imgrelay_dagster.commands.progress_display import Display
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.progress.announcer import ANNOUNCE_INTERVAL, sentence
from imgrelay_dagster.relay.progress.notes import RunProgress
from imgrelay_dagster.relay.records.layout import REPORT, results_prefix
from imgrelay_dagster.relay.records.summary import Summary, summary_json
from imgrelay_dagster.relay.redact import printable

Look = Callable[[], RunProgress | None]

FRAME = 0.2
"""Seconds from one drawing of the display to the next."""

LOOK = 3
"""Frames from one look at the run to the next."""


class Console:
    """Progress and errors go to standard error, the summary to standard output.

    A terminal that was closed, or a pipe whose reader has gone, never ends a run.

    Attributes:
        still: held by who wants nothing drawn for a moment.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._out = RichConsole(highlight=False)
        self._err = RichConsole(stderr=True, highlight=False)
        self._look: Look | None = None
        self._stopping = False
        self._shown: Display | None = None
        self.still = threading.Lock()

    def error(self, message: str) -> None:
        """One message for the user."""
        self._print(self._err, sys.stderr, Text(printable(f"imgrelay: {message}"), style="red"))

    def note(self, message: str) -> None:
        """One message that is no error."""
        self._print(self._err, sys.stderr, Text(printable(f"imgrelay: {message}")))

    def follow(self, look: Look) -> None:
        """Show this run's progress from now on.

        `look` is asked from a thread of its own; what it raises is taken for "not yet".
        """
        self._look = look

    def stopping(self) -> None:
        """Say that the run is being ended."""
        self._stopping = True
        if not self._err.is_terminal:
            self.note("stopping")

    def give_back_terminal(self) -> None:
        """Make the terminal as it was, when the display has no time to."""
        if self._err.is_terminal and self._shown is not None:
            up = f"\x1b[{self._shown.height - 1}A" if self._shown.height > 1 else ""
            with suppress(OSError):
                os.write(2, f"\r{up}\x1b[J\x1b[?25h".encode())

    @contextmanager
    def progress(self) -> Iterator[None]:
        """Show how far the run is while the body runs: live on a terminal, else a line every ten seconds."""
        over = threading.Event()
        show = self._display if self._err.is_terminal else self._lines

        def follow() -> None:
            with suppress(OSError, SystemExit):  # rich leaves so when the reader of a pipe has gone
                show(over)

        follower = threading.Thread(target=follow, name="progress", daemon=True)
        follower.start()
        try:
            yield
        finally:
            over.set()
            follower.join(2.0)

    def _display(self, over: threading.Event) -> None:
        display = self._shown = Display()
        live = Live(display, console=self._err, transient=True, auto_refresh=False)
        try:
            with self.still:
                live.start()
            for number in itertools.count():
                if over.wait(FRAME):
                    break
                if number % LOOK == 0:
                    display.show(self._quietly(), time.time())
                display.stopping = self._stopping
                with self.still:
                    live.refresh()
        finally:
            with self.still:
                live.stop()

    def _lines(self, over: threading.Event) -> None:
        while not over.wait(ANNOUNCE_INTERVAL):
            seen = self._quietly()
            if seen is not None and seen.entries:
                self.note(sentence(seen, time.time()))

    def _quietly(self) -> RunProgress | None:
        """What there is to see. Notes come and go while they are read, and a display must never end a run."""
        try:
            return self._look() if self._look is not None else None
        except (OSError, RelayError, BaseError):
            return None

    def summary(self, summary: Summary, destination: str) -> None:
        """What became of the run: a table, or one line of JSON."""
        if self._as_json:
            _write(sys.stdout, summary_json.dump_json(summary).decode() + "\n")
            return
        colour = {"success": "green", "failure": "red"}.get(summary.status, "yellow")
        lines = [("status", summary.status, f"bold {colour}")]
        for name in ("entries", "uploaded", "unchanged", "failed", "not_attempted"):
            lines.append((name.replace("_", " "), f"{getattr(summary, name):,}", ""))
            if name == "failed":
                lines += [(f"  {reason}", f"{count:,}", "dim") for reason, count in summary.reasons.items()]
        lines.append(("time", f"{summary.seconds:.1f} s, {summary.images_per_second:.1f} images/s", ""))
        lines.append(("images", destination, ""))
        results = f"{destination}/{results_prefix(summary.dataset, summary.run_id)}"
        lines.append(("results", results, ""))
        lines.append(("report", f"{results}/{REPORT}", ""))
        width = max(len(name) for name, _, _ in lines) + 2
        self._print(
            self._out,
            sys.stdout,
            *(Text(printable(f"{name:<{width}}{value}"), style=style) for name, value, style in lines),
        )

    @staticmethod
    def _print(console: RichConsole, stream: IO[str], *texts: Text) -> None:
        """Write without rich's own buffer, which raises again and again once the terminal has gone."""
        rendered = RichConsole(file=io.StringIO(), force_terminal=console.is_terminal, highlight=False)
        for text in texts:
            rendered.print(text, soft_wrap=True)
        _write(stream, cast(io.StringIO, rendered.file).getvalue())


def _write(stream: IO[str], text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        # Nobody reads any more; the interpreter flushes once again at its end, and must not stumble then.
        with suppress(OSError), open(os.devnull, "w") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), stream.fileno())
