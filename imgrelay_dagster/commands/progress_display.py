"""The live display on a terminal: a progress bar, speed, time left, the counts of each stage, and the failures."""

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

MAX_BAR_WIDTH = 60
REASONS_SHOWN = 4
"""How many failure reasons the display names, the most frequent first."""


class Display:
    """The last lines of the terminal. `show` sets the run's progress; rich calls `__rich_console__` to draw it."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._spinner = Spinner("dots", style="cyan")
        self._progress: RunProgress | None = None
        self._now = 0.0
        self.stopping = False

    def show(self, progress: RunProgress | None, now: float) -> None:
        """Set the progress to draw, read at `now` (Unix time). None keeps the previous one."""
        self._progress, self._now = progress or self._progress, now

    @property
    def height(self) -> int:
        """Its height in lines."""
        return 1 + len(list(self._details()))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Group(self._first_line(options.max_width), *self._details())

    def _first_line(self, width: int) -> RenderableType:
        line = Table.grid(padding=(0, 1))
        cells: list[RenderableType] = [self._spinner, Text(self._state(), style="bold", no_wrap=True)]
        progress = self._progress
        if progress is not None and progress.entries:
            bar_width = max(10, min(MAX_BAR_WIDTH, width - 46))
            cells.append(
                ProgressBar(
                    progress.entries, progress.work, width=bar_width, complete_style="green", finished_style="green"
                )
            )
            cells.append(Text(f"{100 * progress.work / progress.entries:3.0f} %", no_wrap=True))
        cells.append(Text(_clock(time.monotonic() - self._started), style="yellow", no_wrap=True))
        left = progress.seconds_left(self._now) if progress is not None and not self.stopping else None
        if left:
            cells.append(Text(f"{_clock(max(1.0, left))} left", style="cyan", no_wrap=True))
        line.add_row(*cells)
        return line

    def _state(self) -> str:
        progress = self._progress
        if self.stopping:
            return "stopping"
        if progress is None:
            return "starting"
        if progress.entries is None:
            return "planning"
        return "reporting" if progress.ended == progress.entries else "relaying"

    def _details(self) -> Iterator[Text]:
        progress = self._progress
        if self.stopping:
            yield _line("press Ctrl-C again to end at once, without a summary", "dim")
        if progress is None or progress.entries is None:
            return
        rate = progress.rate(self._now)
        counts = f"{formatting.count(progress.ended)} of {formatting.count(progress.entries)} done"
        yield _line(counts + (f", {formatting.significant(rate)} images/s" if rate is not None else ""), "")
        yield _line(stage_counts(progress), "dim")
        if progress.failed:
            yield _line(
                f"{formatting.count(progress.failed)} failed: {most_frequent(progress.reasons, REASONS_SHOWN)}", "red"
            )


def _line(text: str, style: str) -> Text:
    return Text(f"  {text}", style=style, no_wrap=True, overflow="ellipsis")


def _clock(seconds: float) -> str:
    """Format a duration: `0:07`, `12:34`, `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
