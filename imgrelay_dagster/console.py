"""What the command line shows: a progress bar while the run goes on, a summary at its end."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError
from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.progress import RunProgress
from imgrelay_dagster.relay.report import Summary, results_prefix, summary_json


class Console:
    """Progress and errors go to standard error, the summary to standard output."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._out = RichConsole(highlight=False)
        self._err = RichConsole(stderr=True, highlight=False)

    def error(self, message: str) -> None:
        """One message for the user."""
        self._err.print(Text(f"imgrelay: {message}", style="red"), soft_wrap=True)

    @contextmanager
    def progress(self, look: Callable[[], RunProgress | None]) -> Iterator[None]:
        """Show how far the run is while the body runs: a bar on a terminal, else a line every ten seconds.

        `look` is asked from a thread of its own; what it raises is taken for "not yet".
        """
        over = threading.Event()
        follow = self._bar if self._err.is_terminal else self._lines
        follower = threading.Thread(target=follow, args=(look, over), name="progress", daemon=True)
        follower.start()
        try:
            yield
        finally:
            over.set()
            follower.join(2.0)

    def _bar(self, look: Callable[[], RunProgress | None], over: threading.Event) -> None:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:,.0f} of {task.fields[wanted]}"),
            TextColumn("[red]{task.fields[failed]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._err, transient=True) as bar:
            images = bar.add_task("starting", total=None, wanted="?", failed="")
            while not over.wait(0.5):
                seen = _quietly(look)
                if seen is None or seen.entries is None:
                    continue
                failed = f"{seen.failed:,} failed" if seen.failed else ""
                bar.update(
                    images,
                    description=_stage_counts(seen),
                    total=seen.entries,
                    completed=seen.ended,
                    wanted=f"{seen.entries:,}",
                    failed=failed,
                )

    def _lines(self, look: Callable[[], RunProgress | None], over: threading.Event) -> None:
        while not over.wait(10.0):
            seen = _quietly(look)
            if seen is not None and seen.entries is not None:
                counts = f"{seen.ended:,} of {seen.entries:,} done, {seen.failed:,} failed"
                self._err.print(f"imgrelay: {counts} ({_stage_counts(seen)})", soft_wrap=True)

    def summary(self, summary: Summary, destination: str) -> None:
        """What became of the run: a table, or one line of JSON."""
        if self._as_json:
            sys.stdout.write(summary_json.dump_json(summary).decode() + "\n")
            sys.stdout.flush()
            return
        colour = {"success": "green", "failure": "red"}.get(summary.status, "yellow")
        lines = [("status", summary.status, f"bold {colour}")]
        for name in ("entries", "uploaded", "unchanged", "failed", "not_attempted"):
            lines.append((name.replace("_", " "), f"{getattr(summary, name):,}", ""))
        lines += [(f"  {reason}", f"{count:,}", "dim") for reason, count in summary.reasons.items()]
        lines.append(("time", f"{summary.seconds:.1f} s, {summary.images_per_second:.1f} images/s", ""))
        lines.append(("images", destination, ""))
        lines.append(("results", f"{destination}/{results_prefix(summary.dataset, summary.run_id)}", ""))
        width = max(len(name) for name, _, _ in lines) + 2
        for name, value, style in lines:
            self._out.print(Text(f"{name:<{width}}{value}", style=style), soft_wrap=True)


def _stage_counts(seen: RunProgress) -> str:
    downloaded, composed, uploaded = (f"{seen.passed.get(stage, 0):,}" for stage in Stage)
    return f"{downloaded} downloaded, {composed} composed, {uploaded} uploaded"


def _quietly(look: Callable[[], RunProgress | None]) -> RunProgress | None:
    """What `look` sees. Notes come and go while it reads, and a display must never end a run."""
    try:
        return look()
    except (OSError, RelayError, BaseError):
        return None
