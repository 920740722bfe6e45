"""Comparing a run's results with those of its dataset's previous run, in memory that does not grow with them."""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from obstore.store import ObjectStore

from imgrelay_dagster.relay.keys import IMAGE_EXTENSION
from imgrelay_dagster.relay.outcomes import Outcome
from imgrelay_dagster.relay.records.comparison import Comparison
from imgrelay_dagster.relay.records.summary import PARTIAL, read_summary
from imgrelay_dagster.relay.redact import redact_key
from imgrelay_dagster.relay.results.history import past_runs, result_lines

MAX_CANDIDATES = 20
"""Earlier runs that are looked at, the latest first, for one that relayed its whole list."""

MAX_EXAMPLES = 5
"""Keys that are named for each kind of difference."""

_BATCH = 500
_DONE = (Outcome.UPLOADED, Outcome.UNCHANGED)


def compare_with_previous(
    store: ObjectStore,
    dataset: str,
    run_id: str,
    results: Path,
    *,
    whole_list: bool,
    tick: Callable[[], None] = lambda: None,
) -> Comparison | None:
    """Compare `results`, the run's own `results.jsonl`, with the previous run's; None if there is none.

    Args:
        whole_list: whether the run's lines are all of its dataset's, so that what is missing is gone.
        tick: called every 500 lines; an exception that it raises ends the work.

    Raises:
        RelayError: the destination cannot be read.
    """
    previous = previous_run(store, dataset, run_id)
    if previous is None:
        return None
    return compare_with(store, dataset, previous, results, whole_list=whole_list, tick=tick)


def compare_with(
    store: ObjectStore,
    dataset: str,
    previous: str,
    results: Path,
    *,
    whole_list: bool,
    tick: Callable[[], None] = lambda: None,
) -> Comparison:
    """Compare `results` with those of the run `previous`, as `compare_with_previous` does."""
    with closing(sqlite3.connect(results.with_name("previous.db"))) as db:
        db.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
            "CREATE TABLE entry (id PRIMARY KEY, line INTEGER, done INTEGER, sha256 TEXT, seen INTEGER) WITHOUT ROWID;"
        )
        lines = enumerate(_entries(result_lines(store, dataset, previous)))
        while rows := [(identity, line, *state) for line, (identity, *state) in islice(lines, _BATCH)]:
            db.executemany("INSERT OR IGNORE INTO entry VALUES (?, ?, ?, ?, 0)", rows)
            tick()
        counts, examples = _differences(db, results, tick)
        if whole_list:
            counts["gone"] = db.execute("SELECT count(*) FROM entry WHERE NOT seen").fetchone()[0]
            gone = db.execute("SELECT id FROM entry WHERE NOT seen ORDER BY line LIMIT ?", (MAX_EXAMPLES,))
            examples["gone"] = [identity for (identity,) in gone]
    return Comparison(
        previous,
        counts["new"],
        counts["gone"] if whole_list else None,
        counts["changed"],
        counts["failed_again"],
        counts["newly_failed"],
        counts["recovered"],
        {name: [redact_key(key) for key in keys] for name, keys in examples.items() if keys},
    )


def previous_run(store: ObjectStore, dataset: str, run_id: str) -> str | None:
    """The latest earlier run of the dataset that relayed its whole list; None if there is none.

    Raises:
        RelayError: the destination cannot be read.
    """
    candidates = (run for run in past_runs(store, dataset) if run.run_id != run_id)
    for run in islice(candidates, MAX_CANDIDATES):
        summary = read_summary(store, dataset, run.run_id)
        if summary is not None and summary.whole_list and summary.status != PARTIAL:
            return run.run_id
    return None


def _differences(
    db: sqlite3.Connection, results: Path, tick: Callable[[], None]
) -> tuple[Counter[str], dict[str, list[str]]]:
    counts, examples = Counter[str](), dict[str, list[str]]()
    with results.open("rb") as lines:
        for number, (identity, done, sha256) in enumerate(_entries(lines)):
            if number % _BATCH == 0:
                tick()
            row = db.execute("SELECT done, sha256, seen FROM entry WHERE id = ?", (identity,)).fetchone()
            if row is None:
                db.execute("INSERT INTO entry VALUES (?, 0, 0, NULL, 2)", (identity,))
            elif row[2]:
                continue  # a line that repeats an earlier one
            else:
                db.execute("UPDATE entry SET seen = 1 WHERE id = ?", (identity,))
            kind = "new" if row is None else _kind(row[0], row[1], done, sha256)
            if kind is not None:
                counts[kind] += 1
                if len(examples.setdefault(kind, [])) < MAX_EXAMPLES:
                    examples[kind].append(identity)
    return counts, examples


def _kind(done_then: bool | None, sha256_then: str | None, done: bool | None, sha256: str | None) -> str | None:
    """What is different about an entry that is in both lists. Not attempted counts neither as done nor as failed."""
    match done_then, done:
        case (0, False):
            return "failed_again"
        case (1, False):
            return "newly_failed"
        case (0, True):
            return "recovered"
        case (1, True) if sha256_then and sha256 and sha256 != sha256_then:
            return "changed"
    return None


def _entries(lines: Iterable[bytes]) -> Iterator[tuple[str, bool | None, str | None]]:
    """What identifies each entry, whether its image is stored (None: not attempted), and the image's digest."""
    for line in lines:
        record: dict[str, Any] = json.loads(line)
        outcome, key = record.get("outcome"), record.get("key")
        done = outcome in _DONE if outcome != Outcome.NOT_ATTEMPTED else None
        yield IMAGE_EXTENSION.sub("", key) if key else record.get("url") or "", done, record.get("sha256")
