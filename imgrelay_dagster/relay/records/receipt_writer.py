"""Writing receipts while a step works: every few seconds, without keeping the step waiting."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self

from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.concurrency.background import Background
from imgrelay_dagster.relay.concurrency.signals import ignore_interrupts
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.records.receipts import RECEIPTS_TYPE, record_json
from imgrelay_dagster.relay.storage.stores import explain, folder_of, is_disk_full, put_object

FLUSH_INTERVAL = 2.0
"""Seconds that a receipt waits at most before it is put."""

CLOSING_LIMIT = 2.0
"""Seconds that an interrupted step waits for its last receipts to be stored."""


def _nothing() -> None:
    pass


class ReceiptWriter:
    """Gathers one step's receipts and puts them every `FLUSH_INTERVAL` seconds. Used from one thread.

    They are put in the background: a store that is slow, or away for a minute, holds up neither the step nor a cancel.
    As a context manager it puts what is left on the way out; when interrupted, within `CLOSING_LIMIT` seconds.
    """

    def __init__(
        self, store: ObjectStore, prefix: str, writer: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._base = f"{prefix}/{writer}"
        self._clock = clock
        self._lines: list[bytes] = []
        self._sent = 0
        self._putting: Background[None] | None = None
        self._part = 0
        self._due = clock() + FLUSH_INTERVAL
        self.counts: Counter[str] = Counter()

    def add(self, record: Record, line: bytes | None = None) -> None:
        """Take one ended record and count its outcome.

        Args:
            line: the record as JSON. Where this thread may be interrupted another one has to make it: pydantic turns
                an interrupt that comes while it writes into an error of its own.
        """
        self._lines.append(record_json.dump_json(record) if line is None else line)
        self.counts[record.outcome.value if record.outcome else ""] += 1

    def flush_if_due(self) -> None:
        """Begin to put what was gathered if its time has come. What a store did not take is put at the next turn."""
        if self._putting is not None and self._putting.over:
            with suppress(RelayError):
                self._see_through(None, _nothing)
        if self._putting is None and self._lines and self._clock() >= self._due:
            self._begin()

    def flush(self, *, limit: float | None = None, tick: Callable[[], None] = _nothing) -> None:
        """Put what was gathered and wait until it is stored.

        Args:
            limit: seconds to wait for the store; None leaves it to the store's own patience.
            tick: called several times a second meanwhile; what it raises ends the wait.

        Raises:
            RelayError: the store does not take it; the receipts are kept for another try.
        """
        if self._putting is not None:
            with suppress(RelayError):
                self._see_through(limit and limit / 4, tick)
        if self._lines:
            self._begin()
            self._see_through(limit, tick)

    def _begin(self) -> None:
        # A put that failed may have been stored all the same: each gets a key of its own. Receipts that are there
        # twice say nothing else. Lines leave the list only once they are stored: an interrupt may come at any place.
        key, data = f"{self._base}-{self._part}.jsonl", b"\n".join(self._lines) + b"\n"
        self._part += 1
        self._sent = len(self._lines)
        self._putting = Background(partial(put_object, self._store, key, data, RECEIPTS_TYPE))
        self._due = self._clock() + FLUSH_INTERVAL

    def _see_through(self, limit: float | None, tick: Callable[[], None]) -> None:
        assert self._putting is not None
        putting, self._putting = self._putting, None
        try:
            putting.wait(limit=limit, tick=tick)
        except (BaseError, OSError) as error:
            raise self._trouble(error) from error
        stored, self._sent = self._sent, 0
        del self._lines[:stored]

    def _trouble(self, error: BaseException) -> RelayError:
        if is_disk_full(error):
            place = folder_of(self._store) or "its store"
            return RelayError(f"disk full: no space left for receipts in destination '{place}'; free some")
        return RelayError(
            f"receipts cannot be written to {self._base!r}: {explain(error)}; the run ends here; launch it again when "
            "the store is back"
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
            except BaseException:  # interrupted: inside a Condition, CPython makes a RuntimeError of it
                self._put_last()
                raise
        else:
            self._put_last()

    def _put_last(self) -> None:
        # What ended the step is what its user is told of, not that its receipts cannot be put either.
        with ignore_interrupts(), suppress(RelayError):
            self.flush(limit=CLOSING_LIMIT)
