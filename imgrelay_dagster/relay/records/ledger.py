"""The ledger: the manifest as one run read it, with the plan for each line.

It holds the run's settings and one line for each manifest line, in order. Lines that planning decides (malformed lines,
conflicts, entries that an earlier run has finished) have their outcome. The ledger stays beside the receipts until the
results are written, so that every line has a result even if the run never reaches its report.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Self

from obstore.exceptions import BaseError
from obstore.store import ObjectStore
from pydantic import TypeAdapter, ValidationError

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.records.layout import ledger_key
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.error_text import explain, is_missing_bucket
from imgrelay_dagster.relay.storage.reading import spool


@dataclass(frozen=True, slots=True)
class Planned:
    """One entry in the ledger. `same_as` and `same_part` name the earlier entry that this one repeats."""

    record: Record
    same_as: int | None = None
    same_part: int = 0


planned_json = TypeAdapter(Planned)
settings_json = TypeAdapter(Settings)


def read_ledger(
    store: ObjectStore,
    dataset: str,
    run_id: str,
    key: Callable[[str, str], str] = ledger_key,
    tick: Callable[[], None] = lambda: None,
) -> "Ledger | None":
    """A run's ledger; None when the run has its results already, or ended before it was planned.

    Args:
        key: gives the ledger's key, from dataset and run id.
        tick: called every 500 lines while the ledger is iterated; an exception that it raises ends the iteration.

    Raises:
        BrokenLedger: the ledger is not complete.
        RelayError: the destination cannot be read.
    """
    try:
        scratch = spool(store, key(dataset, run_id))
    except (BaseError, OSError) as error:
        if isinstance(error, FileNotFoundError) and not is_missing_bucket(error):
            return None
        raise RelayError(f"the destination cannot be read: {explain(error)}") from error
    return Ledger(scratch, tick)


class BrokenLedger(RelayError):
    """The ledger is not complete, for example because of a loss of power while it was written."""


class Ledger:
    """A run's ledger, decompressed line by line from a temporary file. A context manager; iterable once.

    Args:
        compressed: the ledger as gzip; closed on exit.
        tick: called every 500 lines.

    Raises:
        BrokenLedger: the ledger is not complete; raised when it is opened or iterated.
    """

    def __init__(self, compressed: IO[bytes], tick: Callable[[], None] = lambda: None) -> None:
        self._compressed = compressed
        self._tick = tick
        self._lines = gzip.open(compressed)  # noqa: SIM115 - closed by __exit__
        with _broken_if_incomplete():
            self.settings = settings_json.validate_json(self._lines.readline())

    def __iter__(self) -> Iterator[Planned]:
        """All lines, in manifest order."""
        with _broken_if_incomplete():
            for number, line in enumerate(self._lines):
                if number % 500 == 0:
                    self._tick()
                yield planned_json.validate_json(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._compressed.close()


@contextmanager
def _broken_if_incomplete() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError, zlib.error, ValidationError) as error:
        raise BrokenLedger(f"the ledger is not complete: {type(error).__name__}") from error
