"""The rows of a table in text form (RFC 4180), with recovery from a stray quote that would swallow what follows."""

import csv
import re
from collections import deque
from collections.abc import Iterator

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.columns import ColumnMap, UnknownColumns, map_columns
from imgrelay_dagster.relay.manifest.lines import MAX_LINE, Line
from imgrelay_dagster.relay.manifest.options import ReadOptions
from imgrelay_dagster.relay.manifest.row_maker import RowMaker
from imgrelay_dagster.relay.manifest.rows import BLANKS, BadRow, Row, bad_row

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
"""What may separate columns, and its name."""

MAX_ROW_LINES = 500
"""Physical lines in one row: product descriptions have many. It limits what an unclosed quote can swallow."""

MAX_ROW = 2 * MAX_LINE
"""Characters in one row; `csv` itself refuses a field with more."""

_SEPARATOR_LINE = re.compile(r"\"?sep=(.)\"?", re.IGNORECASE)  # the first line that Excel writes and reads
_BLANKS_BUT_TAB = BLANKS.replace("\t", "")
_LINE_BREAK = "url holds a line break"


def csv_rows(lines: Iterator[Line], name: str, options: ReadOptions) -> Iterator[Row]:
    """Yield the rows below the header, each numbered by the physical line on which it starts.

    Empty rows are skipped. When a row of several lines is malformed, its first line becomes a bad row and the other
    lines are read again as rows of their own. So a stray quote costs one line, not all lines up to the next quote.

    Raises:
        RelayError: while being iterated, when the header is broken, or does not say where the URLs are.
    """
    feed = _LineFeed(lines)
    header = _read_header(feed, name, options)
    if header is None:
        return
    separator, width, columns = header
    options.report(f"image URLs are in column {columns.url_name!r}; columns are separated by {SEPARATORS[separator]}")
    maker = RowMaker(options)
    reader = _csv_reader(feed, separator)
    while feed.start_row():
        try:
            cells = next(reader)
        except csv.Error as error:
            literal = feed.first.text.split("\t") if separator == "\t" and feed.first.complete else []
            if len(literal) != width:
                yield feed.reject_row(f"broken CSV: {error}")
                continue
            feed.reject_row("")  # tab-separated files are often written without quoting
            cells = literal
        if _is_blank(cells):
            continue
        if width == 1 and len(cells) > 1 and '"' not in feed.first.text:
            cells = [feed.first.text]  # a URL with a comma, in a list that somebody wrote by hand
        if len(cells) > width:
            problem = f"put quotes around a value that holds a {SEPARATORS[separator]}"
            yield feed.reject_row(f"{len(cells)} values for {width} columns; {problem}")
            continue
        rows = maker.from_values(feed.first.number, feed.first.text, cells, columns)
        if rows and isinstance(rows[0], BadRow) and rows[0].error.startswith(_LINE_BREAK):
            yield feed.reject_row(rows[0].error)
        else:
            yield from rows


def _csv_reader(feed: "_LineFeed", separator: str) -> Iterator[list[str]]:
    return csv.reader(feed, strict=True, skipinitialspace=separator != "\t", delimiter=separator)


def _read_header(feed: "_LineFeed", name: str, options: ReadOptions) -> tuple[str, int, ColumnMap] | None:
    """Return separator, number of columns and their positions; None when the file is empty.

    The separator is the one with which the header has a column of URLs.
    """
    candidates = tuple(SEPARATORS)
    while True:
        if not feed.start_row():
            return None
        text = feed.peek().text
        first = text.strip(BLANKS)
        stated = _SEPARATOR_LINE.fullmatch(text.strip(_BLANKS_BUT_TAB)) or _SEPARATOR_LINE.fullmatch(first)
        if stated and stated[1] in SEPARATORS:
            candidates = (stated[1],)
            feed.drop()
        elif first.strip("".join(SEPARATORS) + '" '):
            break
        else:
            feed.drop()
    errors: list[tuple[int, str]] = []
    for separator in candidates:
        try:
            cells = next(_csv_reader(feed, separator))
            return separator, len(cells), map_columns(cells, options)
        except csv.Error as error:
            score = 1_000 if separator in feed.first.text else 0
            errors.append((score, f"line {feed.first.number}: broken header: {error}"))
        except UnknownColumns as error:
            errors.append((len(cells) + 2_000 * (not error.missing), error.header_message()))
        feed.restart_row()
    _, message = max(errors, key=lambda error: error[0])
    raise RelayError(f"manifest {name!r}{', ' if message.startswith('line ') else ' '}{message}")


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

    def peek(self) -> Line:
        """The first line of the row that was started."""
        return self._pending[0]

    def drop(self) -> None:
        """Skip the first line of the row that was started."""
        self._pending.popleft()

    def restart_row(self) -> None:
        """Read the lines of the current row again, as the same row."""
        self._pending.extendleft(reversed(self._row))
        self._row = []
        self._size = 0

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
        if not line.complete or self._size > MAX_ROW or len(self._row) > MAX_ROW_LINES:
            raise csv.Error(f"a quote is not closed within {MAX_ROW_LINES} lines or {MAX_ROW:,} bytes")
        return line.text.rstrip(BLANKS) + "\n"
