"""The ledger: the manifest as one run saw it, from which every line's outcome is told.

It holds the run's settings and a line for each manifest line, in order, with the outcome of what was decided at once:
malformed lines, conflicts, entries that receipts say are done. It is kept beside the receipts until the results are
written, so that a run that never reaches its report can still account for every line.
"""

import gzip
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Self

from obstore.exceptions import BaseError
from obstore.store import ObjectStore
from pydantic import TypeAdapter, ValidationError

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.records.layout import ledger_key
from imgrelay_dagster.relay.records.receipts import PIECE
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.stores import explain, is_missing_bucket

if TYPE_CHECKING:
    from obstore import BytesStream


@dataclass(frozen=True, slots=True)
class Planned:
    """One manifest line in the ledger. `same_as` is the earlier line that this one repeats."""

    record: Record
    same_as: int | None = None


planned_json = TypeAdapter(Planned)
settings_json = TypeAdapter(Settings)


def read_ledger(
    store: ObjectStore,
    dataset: str,
    run_id: str,
    key: Callable[[str, str], str] = ledger_key,
    tick: Callable[[], None] = lambda: None,
) -> "Ledger | None":
    """A run's ledger, or None when the run has its results or ended before it was planned.

    Args:
        key: where it lies.
        tick: called now and then while the ledger is gone through.

    Raises:
        BrokenLedger: it is not whole.
        RelayError: the destination cannot be read.
    """
    try:
        packed = store.get(key(dataset, run_id)).stream(min_chunk_size=PIECE)
        scratch = _on_disk(packed)
    except (BaseError, OSError) as error:
        if isinstance(error, FileNotFoundError) and not is_missing_bucket(error):
            return None
        raise RelayError(f"the destination cannot be read: {explain(error)}") from error
    return Ledger(scratch, tick)


def _on_disk(packed: "BytesStream") -> IO[bytes]:
    scratch = tempfile.TemporaryFile()  # noqa: SIM115 - the ledger closes it
    try:
        for piece in packed:
            scratch.write(piece)
    except BaseException:
        scratch.close()
        raise
    scratch.seek(0)
    return scratch


class BrokenLedger(RelayError):
    """The ledger is not whole: a machine lost its power while it was written."""


class Ledger:
    """A run's ledger, unpacked line by line from scratch disk. Read once, as a context manager.

    Raises:
        BrokenLedger: when it is opened, or at any line.
    """

    def __init__(self, packed: IO[bytes], tick: Callable[[], None] = lambda: None) -> None:
        self._packed = packed
        self._tick = tick
        self._lines = gzip.open(packed)  # noqa: SIM115 - closed on the way out
        with _whole():
            self.settings = settings_json.validate_json(self._lines.readline())

    def __iter__(self) -> Iterator[Planned]:
        """Every line, in manifest order."""
        with _whole():
            for number, line in enumerate(self._lines):
                if number % 500 == 0:
                    self._tick()
                yield planned_json.validate_json(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._packed.close()


@contextmanager
def _whole() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError, zlib.error, ValidationError) as error:
        raise BrokenLedger(f"ledger is not whole: {type(error).__name__}") from error
