"""The result of a measurement, and where a run under Dagster spends its time."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

STAGES = ("download", "compose", "upload")


@dataclass(frozen=True)
class Measurement:
    """One measured command: seconds, bytes and counts.

    `split` divides `wall` into parts (see `split_of`). `inside` is `wall` without startup and shutdown: from the run's
    first event to its last, or the time that the program reports. `first_image` and `largest_gap` are seconds of that
    time: until the first image was stored, and the most between two stored images. `load` is the machine's load
    average at the start: other processes affect `wall`, and `cpu` less.
    """

    case: str
    by: str
    round: int
    entries: int
    uploaded: int
    load: float
    wall: float
    cpu: float
    memory: int
    scratch: int
    scratch_files: int
    requests: int
    rows: int | None = None
    stopping: float | None = None
    inside: float | None = None
    first_image: float | None = None
    largest_gap: float | None = None
    split: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Images per second."""
        return self.uploaded / self.wall

    @property
    def cpu_each(self) -> float:
        """CPU milliseconds per image."""
        return 1000 * self.cpu / max(1, self.uploaded)


def event_rows(home: Path) -> int:
    """Number of rows in the event log of the newest run of an instance."""
    return sum(1 for _ in _events(home, "1"))


def run_seconds(home: Path) -> float:
    """Seconds from the first event of the newest run of an instance to its last."""
    times = [datetime.fromisoformat(text) for (text,) in _events(home, "timestamp")]
    return (times[-1] - times[0]).total_seconds()


def split_of(home: Path, started: float, ended: float, *, slots: int) -> dict[str, float]:
    """Divide the wall seconds of the newest run of an instance into `planning`, `stages`, `report` and `dagster`.

    `stages` is the time of the download, compose and upload steps inside their ops, divided by the number of `slots`.
    `dagster` is the rest, which includes the start of processes and idle slots.
    """
    starts: dict[str, float] = {}
    inside: dict[str, float] = {}
    for kind, step, text in _events(home, "dagster_event_type, step_key, timestamp"):
        when = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
        if kind == "STEP_START":
            starts[step] = when
        elif kind in ("STEP_SUCCESS", "STEP_FAILURE") and step in starts:
            inside[step] = when - starts[step]
    parts = {
        "planning": inside.get("plan", 0.0),
        "stages": sum(took for step, took in inside.items() if step.startswith(STAGES)) / slots,
        "report": inside.get("report", 0.0),
    }
    return {**parts, "dagster": max(0.0, ended - started - sum(parts.values()))}


def _events(home: Path, columns: str) -> Iterator[tuple[Any, ...]]:
    runs = [path for path in (home / "history" / "runs").glob("*.db") if path.stem != "index"]
    newest = max(runs, key=lambda path: path.stat().st_mtime, default=None)
    if newest is None:
        return
    with closing(sqlite3.connect(newest)) as database:
        yield from database.execute(f"SELECT {columns} FROM event_logs ORDER BY id")
