"""What the command line shows: a progress bar while the run goes on, a summary at its end."""

import io
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, cast

from obstore.exceptions import BaseError
from rich.console import Console as RichConsole
from rich.console import RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.page.write import REPORT
from imgrelay_dagster.relay.progress import RunProgress
from imgrelay_dagster.relay.redact import printable
from imgrelay_dagster.relay.report import Summary, results_prefix, summary_json

Look = Callable[[], RunProgress | None]


class Console:
    """Progress and errors go to standard error, the summary to standard output.

    A terminal that was closed, or a pipe whose reader has gone, never ends a run.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._out = RichConsole(highlight=False)
        self._err = RichConsole(stderr=True, highlight=False)
        self._look: Look | None = None
        self._stopping = False

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
        """Make the terminal as it was, when the progress bar has no time to."""
        if self._err.is_terminal:
            with suppress(OSError):
                os.write(2, b"\r\x1b[J\x1b[?25h")

    @contextmanager
    def progress(self) -> Iterator[None]:
        """Show how far the run is while the body runs: a bar on a terminal, else a line every ten seconds."""
        over = threading.Event()
        show = self._bar if self._err.is_terminal else self._lines

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

    def _bar(self, over: threading.Event) -> None:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[counts]}"),
            TextColumn("[red]{task.fields[failed]}"),
            TimeElapsedColumn(),
            _TimeLeft(),
        )
        with _Bar(*columns, console=self._err, transient=True) as bar:
            images = bar.add_task("starting", total=None, counts="", failed="")
            while not over.wait(0.5):
                seen = self._quietly()
                if self._stopping:
                    bar.detail = "Ctrl-C once more ends at once, without a summary"
                    bar.update(images, description="stopping")
                if seen is None:
                    continue
                if seen.entries is None:
                    bar.update(images, description="stopping" if self._stopping else "planning")
                    continue
                if not self._stopping:
                    bar.detail = _stage_counts(seen)
                bar.update(
                    images,
                    description="stopping" if self._stopping else _doing(seen),
                    total=seen.entries,
                    completed=_done(seen),
                    counts=f"{seen.ended:,} of {seen.entries:,}",
                    failed=f"{seen.failed:,} failed" if seen.failed else "",
                )

    def _lines(self, over: threading.Event) -> None:
        while not over.wait(10.0):
            seen = self._quietly()
            if seen is not None and seen.entries is not None:
                self.note(f"{seen.ended:,} of {seen.entries:,} done, {seen.failed:,} failed ({_stage_counts(seen)})")

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


class _Bar(Progress):
    """A bar with a line of detail beneath it."""

    detail = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.detail:
            yield Text(f"  {self.detail}", style="dim", no_wrap=True, overflow="ellipsis")


class _TimeLeft(ProgressColumn):
    """The time that the rest will take, once there is something to reckon it from."""

    def render(self, task: Task) -> Text:
        if not task.time_remaining:
            return Text("")
        minutes, seconds = divmod(int(task.time_remaining), 60)
        hours, minutes = divmod(minutes, 60)
        return Text(f"{hours}:{minutes:02}:{seconds:02} left", style="progress.remaining")


def _done(seen: RunProgress) -> float:
    """Work done, in entries: a stage is a third of one, so that the bar moves before the first task is through."""
    return min(seen.entries or 0, sum(seen.passed.values()) / len(Stage) + seen.failed)


def _doing(seen: RunProgress) -> str:
    return "reporting" if seen.ended == seen.entries else "relaying"


def _stage_counts(seen: RunProgress) -> str:
    downloaded, composed, uploaded = (f"{seen.passed.get(stage, 0):,}" for stage in Stage)
    return f"{downloaded} downloaded, {composed} composed, {uploaded} uploaded"


def _write(stream: IO[str], text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        # Nobody reads any more; the interpreter flushes once again at its end, and must not stumble then.
        with suppress(OSError), open(os.devnull, "w") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), stream.fileno())
