"""Writing receipts in the background while a step works, every few seconds."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self

from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.concurrency.background import BackgroundCall
from imgrelay_dagster.relay.concurrency.signals import ignore_interrupts
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.records.layout import receipts_key
from imgrelay_dagster.relay.records.receipts import RECEIPTS_TYPE, record_json
from imgrelay_dagster.relay.storage.error_text import explain, is_disk_full
from imgrelay_dagster.relay.storage.objects import put_object
from imgrelay_dagster.relay.storage.stores import folder_of

FLUSH_INTERVAL = 2.0
"""Seconds between two writes: the longest that a receipt waits in memory."""

CLOSING_LIMIT = 2.0
"""Seconds that an interrupted step waits until its last receipts are stored."""


def _no_tick() -> None:
    pass


class ReceiptWriter:
    """Collects one step's receipts and writes them every `FLUSH_INTERVAL` seconds. Not thread-safe.

    A background thread writes them, so that a store that is slow or down delays neither the step nor a cancel.
    A context manager: on exit it writes the remaining receipts; if interrupted, within `CLOSING_LIMIT` seconds.

    Args:
        prefix: the run's receipts (`layout.run_receipts_prefix`).
        writer: a name that no other writer of the run has.
        clock: a monotonic time in seconds.

    Attributes:
        counts: number of receipts by outcome.
    """

    def __init__(
        self, store: ObjectStore, prefix: str, writer: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._prefix, self._writer = prefix, writer
        self._clock = clock
        self._lines: list[bytes] = []
        self._lines_in_flight = 0
        self._write: BackgroundCall[None] | None = None
        self._part = 0
        self._next_flush = clock() + FLUSH_INTERVAL
        self.counts: Counter[str] = Counter()

    def add(self, record: Record, line: bytes | None = None) -> None:
        """Add the record of a finished entry and count its outcome.

        Args:
            line: the record as JSON. Pydantic turns an interrupt that arrives while it serializes into an error of its
                own, so a thread that may be interrupted must pass a line that another thread has serialized.
        """
        self._lines.append(record_json.dump_json(record) if line is None else line)
        self.counts[record.outcome.value if record.outcome else ""] += 1

    def flush_if_due(self) -> None:
        """Start a write if the last one is `FLUSH_INTERVAL` seconds old. Receipts of a failed write are included."""
        if self._write is not None and self._write.finished:
            with suppress(RelayError):
                self._finish_write(None, _no_tick)
        if self._write is None and self._lines and self._clock() >= self._next_flush:
            self._start_write()

    def flush(self, *, limit: float | None = None, tick: Callable[[], None] = _no_tick) -> None:
        """Write all receipts that are left and wait until they are stored.

        Args:
            limit: seconds to wait for the store; None waits until the store's own time limits end the request.
            tick: called several times a second while waiting; an exception that it raises ends the wait.

        Raises:
            RelayError: the write failed; the next call writes the same receipts again.
        """
        if self._write is not None:
            with suppress(RelayError):
                self._finish_write(limit and limit / 4, tick)
        if self._lines:
            self._start_write()
            self._finish_write(limit, tick)

    def _start_write(self) -> None:
        # A failed PUT may have stored its object nevertheless, so each try has a new key; a receipt that is stored
        # twice does no harm. Lines stay in the list until they are stored, because an interrupt may arrive at any
        # point.
        key = receipts_key(self._prefix, self._writer, self._part)
        data = b"\n".join(self._lines) + b"\n"
        self._part += 1
        self._lines_in_flight = len(self._lines)
        self._write = BackgroundCall(partial(put_object, self._store, key, data, RECEIPTS_TYPE))
        self._next_flush = self._clock() + FLUSH_INTERVAL

    def _finish_write(self, limit: float | None, tick: Callable[[], None]) -> None:
        assert self._write is not None
        write, self._write = self._write, None
        try:
            write.wait(limit=limit, tick=tick)
        except (BaseError, OSError) as error:
            raise self._relay_error(error) from error
        stored, self._lines_in_flight = self._lines_in_flight, 0
        del self._lines[:stored]

    def _relay_error(self, error: BaseException) -> RelayError:
        if is_disk_full(error):
            place = folder_of(self._store) or "its store"
            return RelayError(f"disk full: no space left for receipts in destination '{place}'; free some space")
        return RelayError(
            f"receipts cannot be written to '{self._prefix}/{self._writer}': {explain(error)}; the run ends here; "
            "launch it again when the store is back"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self.flush()
            except RelayError:
                raise
            except BaseException:  # an interrupt; inside a Condition, CPython turns it into a RuntimeError
                self._flush_after_error()
                raise
        else:
            self._flush_after_error()

    def _flush_after_error(self) -> None:
        # The user must see the error that ended the step, not one of this write.
        with ignore_interrupts(), suppress(RelayError):
            self.flush(limit=CLOSING_LIMIT)
