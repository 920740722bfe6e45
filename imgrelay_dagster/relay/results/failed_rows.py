"""The first failed entries of a run with the columns that it carries along, from its `failed.csv`."""

import csv
import io
from contextlib import suppress

from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.records.layout import failed_table_key
from imgrelay_dagster.relay.redact import printable
from imgrelay_dagster.relay.results.csv_table import FIRST_COLUMNS, LAST_COLUMNS

MOST_ROWS = 20
"""Entries that are returned."""

MOST_BYTES = 64 * 1024
"""Bytes of the file that are read."""

MOST_CARRIED = 12
"""Carried columns that are returned."""

MAX_CELL = 200
"""Characters of a name or a value."""

REASON = "reason"


def first_failed(store: ObjectStore, dataset: str, run_id: str) -> list[dict[str, str]]:
    """Line, key, carried columns and reason of the first failed entries.

    Empty if no entry failed, if no column is carried, or if the file cannot be read: nothing depends on it.
    """
    data, key = b"", failed_table_key(dataset, run_id)
    with suppress(BaseError, OSError):
        size = store.head(key)["size"]
        data = bytes(store.get_range(key, start=0, end=min(size, MOST_BYTES))) if size else b""
        if size > MOST_BYTES:  # the last row is not complete
            data = data[: data.rfind(b"\n") + 1]
    header, *rows = list(csv.reader(io.StringIO(data.decode(errors="replace"), newline=""))) or [[]]
    carried = header[len(FIRST_COLUMNS) : -len(LAST_COLUMNS)]
    if not carried:
        return []
    end = len(FIRST_COLUMNS) + min(len(carried), MOST_CARRIED)
    shown = [*range(end), len(header) - len(LAST_COLUMNS) + LAST_COLUMNS.index(REASON)]
    complete = [row for row in rows if len(row) == len(header)][:MOST_ROWS]
    return [{_cell(header[at]): _cell(row[at]) for at in shown} for row in complete]


def _cell(text: str) -> str:
    return printable(text)[:MAX_CELL]
