"""What the command line shows: a progress bar while the run goes on, a summary at its end."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dagster as dg
from rich.console import Console as RichConsole
from rich.table import Table
from rich.text import Text

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
    def progress(self, instance: dg.DagsterInstance, tags: Mapping[str, str]) -> Iterator[None]:
        """Follow the run that carries these tags."""
        yield

    def summary(self, summary: Summary, destination: str) -> None:
        """What became of the run: a table, or one line of JSON."""
        if self._as_json:
            sys.stdout.write(summary_json.dump_json(summary).decode() + "\n")
            sys.stdout.flush()
            return
        colour = {"success": "green", "failure": "red"}.get(summary.status, "yellow")
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        table.add_row("status", Text(summary.status, style=f"bold {colour}"))
        for name in ("entries", "uploaded", "unchanged", "failed", "not_attempted"):
            table.add_row(name.replace("_", " "), f"{getattr(summary, name):,}")
        for reason, count in summary.reasons.items():
            table.add_row(Text(f"  {reason}", style="dim"), Text(f"{count:,}", style="dim"))
        table.add_row("time", f"{summary.seconds:.1f} s, {summary.images_per_second:.1f} images/s")
        table.add_row("images", Text(destination))
        table.add_row("results", Text(f"{destination}/{results_prefix(summary.dataset, summary.run_id)}"))
        self._out.print(table, soft_wrap=True)
