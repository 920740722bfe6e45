"""The rows of a text manifest: one URL per line."""

from collections.abc import Iterator

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.columns import UnknownColumns, map_columns
from imgrelay_dagster.relay.manifest.csv_rows import SEPARATORS
from imgrelay_dagster.relay.manifest.lines import MAX_LINE, Line
from imgrelay_dagster.relay.manifest.options import ReadOptions
from imgrelay_dagster.relay.manifest.row_maker import RowMaker
from imgrelay_dagster.relay.manifest.rows import BLANKS, Row, bad_row


def text_rows(lines: Iterator[Line], name: str, options: ReadOptions) -> Iterator[Row]:
    """Yield a row for each URL. A line that starts with `#` is a comment; elsewhere `#` belongs to the URL.

    Raises:
        RelayError: the first line is the header of a table.
    """
    maker = RowMaker(options)
    is_first = True
    for number, text, complete in lines:
        url = text.strip(BLANKS)
        if not url or url.startswith("#"):
            continue
        if is_first:
            is_first = False
            _refuse_table(url, name)
        if complete:
            yield from maker.from_url(number, text, url)
        else:
            yield bad_row(number, text, f"line longer than {MAX_LINE:,} bytes")


def _refuse_table(first: str, name: str) -> None:
    if "://" in first:
        return
    for separator in SEPARATORS:
        cells = first.split(separator)
        try:
            map_columns(cells, ReadOptions())
        except UnknownColumns:
            continue
        if len(cells) > 1:
            raise RelayError(
                f"manifest {name!r} is a table: its first line names columns; let its name end in .csv or .tsv"
            )
