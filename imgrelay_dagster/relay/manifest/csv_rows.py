"""The rows of a CSV manifest (RFC 4180), with recovery from a stray quote that would swallow the following lines."""

import csv
import re
from collections import deque
from collections.abc import Iterator

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.lines import MAX_LINE, Line
from imgrelay_dagster.relay.manifest.rows import BLANKS, BadRow, Row, bad_row, make_row

MAX_ROW_LINES = 100
"""Physical lines in one row. Together with `MAX_LINE` bytes it limits what an unclosed quote can swallow."""

_FIELDS = ("url", "key", "template")


def csv_rows(lines: Iterator[Line], name: str) -> Iterator[Row]:
    """Yield the rows below the header, each numbered by the physical line on which it starts.

    Empty rows are skipped, and columns other than `url`, `key` and `template` are ignored. When a row of several
    lines is malformed, its first line becomes a bad row and the other lines are read again as rows of their own. So
    a stray quote costs one line, not all lines up to the next quote.

    Raises:
        RelayError: while being iterated, when the header is broken, lacks `url`, or names a field twice.
    """
    feed = _LineFeed(lines)
    reader = csv.reader(feed, strict=True, skipinitialspace=True)
    header = _header(feed, reader, name)
    indexes = [header.index(field) if field in header else None for field in _FIELDS]
    while feed.start_row():
        try:
            cells = next(reader)
        except csv.Error as error:
            yield feed.reject_row(f"broken CSV: {error}")
            continue
        if not _is_blank(cells):
            row = _row(feed.first, cells, len(header), indexes)
            yield feed.reject_row(row.error) if isinstance(row, BadRow) else row


def _row(first: Line, cells: list[str], width: int, indexes: list[int | None]) -> Row:
    if len(cells) > width:
        error = f"{len(cells)} values for {width} columns; put quotes around a value that holds a comma"
        return bad_row(first.number, first.text, error)
    values = [None if index is None or index >= len(cells) else cells[index] for index in indexes]
    return make_row(first.number, first.text, *values)


def _header(feed: "_LineFeed", reader: Iterator[list[str]], name: str) -> list[str]:
    """Return the column names, stripped and in lower case; an empty list when the file is empty."""
    cells: list[str] = []
    while _is_blank(cells) and feed.start_row():
        try:
            cells = next(reader)
        except csv.Error as error:
            raise RelayError(f"manifest {name!r}, line {feed.first.number}: broken header: {error}") from None
    columns = [cell.strip(BLANKS).lower() for cell in cells]
    if columns and "url" not in columns:
        raise RelayError(
            f"manifest {name!r} has no column 'url'; its first row {_describe_columns(columns)}, but must hold the "
            "names of the columns, separated by commas"
        )
    for field in _FIELDS:
        if columns.count(field) > 1:
            raise RelayError(f"manifest {name!r} has {columns.count(field)} columns {field!r}; keep one")
    return columns


def _describe_columns(columns: list[str]) -> str:
    """Describe a header for a message. Only plain names are quoted: other text may be data, which may be secret."""
    names = [repr(column) for column in columns if re.fullmatch(r"[\w ;.-]{1,40}", column)]
    return f"is {', '.join(names[:10])}" if names else "looks like data"


def _is_blank(cells: list[str]) -> bool:
    return not any(cell.strip(BLANKS) for cell in cells)


class _LineFeed:
    """Feeds physical lines to a `csv.reader`, remembers those of the current row, and can feed them again."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._pending: deque[Line] = deque()
        self._row: list[Line] = []
        self._size = 0

    @property
    def first(self) -> Line:
        """The line on which the current row starts."""
        return self._row[0]

    def start_row(self) -> bool:
        """Forget the previous row. Returns False when no line is left."""
        self._row = []
        self._size = 0
        if not self._pending:
            line = next(self._lines, None)
            if line is None:
                return False
            self._pending.append(line)
        return True

    def reject_row(self, error: str) -> BadRow:
        """Return a bad row for the first line of the current row; the other lines will be read again."""
        self._pending.extendleft(reversed(self._row[1:]))
        return bad_row(self.first.number, self.first.text, error)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._pending.popleft() if self._pending else next(self._lines)
        self._row.append(line)
        self._size += len(line.text)
        if not self._row[0].complete:
            raise csv.Error(f"line longer than {MAX_LINE:,} bytes")
        if not line.complete or self._size > MAX_LINE or len(self._row) > MAX_ROW_LINES:
            raise csv.Error(f"a quote is not closed within {MAX_ROW_LINES} lines or {MAX_LINE:,} bytes")
        return line.text.rstrip(BLANKS) + "\n"
