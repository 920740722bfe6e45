"""The rows of a CSV manifest (RFC 4180), with a way back when a stray quote swallows lines."""

import csv
import re
from collections import deque
from collections.abc import Iterator

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.lines import MAX_LINE, Line
from imgrelay_dagster.relay.manifest.rows import BLANKS, BadRow, Row, bad_row, make_row

MAX_ROW_LINES = 100
"""Physical lines in one row. With `MAX_LINE`, for the bytes, it bounds what an open quote can swallow."""

_FIELDS = ("url", "key", "template")


def csv_rows(lines: Iterator[Line], name: str) -> Iterator[Row]:
    """Yield the rows below the header, each numbered by the physical line it starts on.

    Rows with nothing in them are skipped, and columns other than `url`, `key` and `template` ignored. Where a
    row over several lines is malformed, its first line becomes the bad row and the others are read again as
    rows of their own: a stray quote costs one line, not the lines up to the next quote.

    Raises:
        RelayError: while being iterated, when the header is broken, lacks `url`, or names a field twice.
    """
    feed = _Feed(lines)
    reader = csv.reader(feed, strict=True, skipinitialspace=True)
    header = _header(feed, reader, name)
    places = [header.index(field) if field in header else None for field in _FIELDS]
    while feed.begin_row():
        try:
            cells = next(reader)
        except csv.Error as error:
            yield feed.refuse(f"broken CSV: {error}")
            continue
        if not _is_blank(cells):
            row = _row(feed.first, cells, len(header), places)
            yield feed.refuse(row.why) if isinstance(row, BadRow) else row


def _row(first: Line, cells: list[str], width: int, places: list[int | None]) -> Row:
    if len(cells) > width:
        why = f"{len(cells)} values for {width} columns; put quotes around a value that holds a comma"
        return bad_row(first.number, first.text, why)
    values = [None if place is None or place >= len(cells) else cells[place] for place in places]
    return make_row(first.number, first.text, *values)


def _header(feed: "_Feed", reader: Iterator[list[str]], name: str) -> list[str]:
    """The names of the columns, stripped and in lower case; none when the file holds nothing."""
    cells: list[str] = []
    while _is_blank(cells) and feed.begin_row():
        try:
            cells = next(reader)
        except csv.Error as error:
            raise RelayError(f"manifest {name!r}, line {feed.first.number}: broken header: {error}") from None
    columns = [cell.strip(BLANKS).lower() for cell in cells]
    if columns and "url" not in columns:
        raise RelayError(
            f"manifest {name!r} has no column 'url' but {_shown(columns)}; its first row must name the "
            "columns, with commas between them"
        )
    for field in _FIELDS:
        if columns.count(field) > 1:
            raise RelayError(f"manifest {name!r} has {columns.count(field)} columns {field!r}; keep one")
    return columns


def _shown(columns: list[str]) -> str:
    """Column names for a message. What is no plain name may be a row of data, and so a secret: not shown."""
    plain = [repr(column) for column in columns if re.fullmatch(r"[\w ;.-]{1,40}", column)]
    return ", ".join(plain[:10]) or "what looks like data"


def _is_blank(cells: list[str]) -> bool:
    return not any(cell.strip(BLANKS) for cell in cells)


class _Feed:
    """Hands physical lines to a `csv.reader`, remembers those of the row at hand, and can take them back."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._waiting: deque[Line] = deque()
        self._row: list[Line] = []
        self._size = 0

    @property
    def first(self) -> Line:
        """The line on which the row at hand starts."""
        return self._row[0]

    def begin_row(self) -> bool:
        """Forget the last row. False when no line is left."""
        self._row = []
        self._size = 0
        if not self._waiting:
            line = next(self._lines, None)
            if line is None:
                return False
            self._waiting.append(line)
        return True

    def refuse(self, why: str) -> BadRow:
        """The bad row for the first line of the row at hand; the other lines will be read again."""
        self._waiting.extendleft(reversed(self._row[1:]))
        return bad_row(self.first.number, self.first.text, why)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else next(self._lines)
        self._row.append(line)
        self._size += len(line.text)
        if not self._row[0].whole:
            raise csv.Error(f"line longer than {MAX_LINE:,} bytes")
        if not line.whole or self._size > MAX_LINE or len(self._row) > MAX_ROW_LINES:
            raise csv.Error(f"a quote is not closed within {MAX_ROW_LINES} lines or {MAX_LINE:,} bytes")
        return line.text.rstrip(BLANKS) + "\n"
