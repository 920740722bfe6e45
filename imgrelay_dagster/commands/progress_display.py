"""What a terminal shows while a run goes on: a bar, how fast, how long still, what each stage has done, what failed."""

import time
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from imgrelay_dagster.relay import formatting
from imgrelay_dagster.relay.formatting import most_frequent
from imgrelay_dagster.relay.progress.announcer import stage_counts
from imgrelay_dagster.relay.progress.notes import RunProgress

WIDEST_BAR = 60
REASONS = 4
"""Reasons named while the run goes on."""


class Display:
    """The lines at the foot of the terminal. `show` what was last seen; the display is drawn anew by itself."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._spinner = Spinner("dots", style="cyan")
        self._seen: RunProgress | None = None
        self._now = 0.0
        self.stopping = False

    def show(self, seen: RunProgress | None, now: float) -> None:
        """Take what is known of the run at this time; None when nothing is known yet."""
        self._seen, self._now = seen or self._seen, now

    @property
    def height(self) -> int:
        """Lines that it takes."""
        return 1 + len(list(self._details()))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Group(self._first_line(options.max_width), *self._details())

    def _first_line(self, width: int) -> RenderableType:
        line = Table.grid(padding=(0, 1))
        cells: list[RenderableType] = [self._spinner, Text(self._doing(), style="bold", no_wrap=True)]
        seen = self._seen
        if seen is not None and seen.entries:
            room = max(10, min(WIDEST_BAR, width - 46))
            cells.append(
                ProgressBar(seen.entries, seen.work, width=room, complete_style="green", finished_style="green")
            )
            cells.append(Text(f"{100 * seen.work / seen.entries:3.0f} %", no_wrap=True))
        cells.append(Text(_clock(time.monotonic() - self._began), style="yellow", no_wrap=True))
        left = seen.seconds_left(self._now) if seen is not None and not self.stopping else None
        if left:
            cells.append(Text(f"{_clock(max(1.0, left))} left", style="cyan", no_wrap=True))
        line.add_row(*cells)
        return line

    def _doing(self) -> str:
        seen = self._seen
        if self.stopping:
            return "stopping"
        if seen is None:
            return "starting"
        if seen.entries is None:
            return "planning"
        return "reporting" if seen.ended == seen.entries else "relaying"

    def _details(self) -> Iterator[Text]:
        seen = self._seen
        if self.stopping:
            yield _line("Ctrl-C once more ends at once, without a summary", "dim")
        if seen is None or seen.entries is None:
            return
        pace = seen.pace(self._now)
        counts = f"{formatting.count(seen.ended)} of {formatting.count(seen.entries)} done"
        yield _line(counts + (f", {formatting.significant(pace)} images/s" if pace is not None else ""), "")
        yield _line(stage_counts(seen), "dim")
        if seen.failed:
            yield _line(f"{formatting.count(seen.failed)} failed: {most_frequent(seen.reasons, REASONS)}", "red")


def _line(text: str, style: str) -> Text:
    return Text(f"  {text}", style=style, no_wrap=True, overflow="ellipsis")


def _clock(seconds: float) -> str:
    """A duration as a clock shows it: `0:07`, `12:34`, `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
