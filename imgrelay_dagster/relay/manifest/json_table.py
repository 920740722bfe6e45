"""The rows of JSON values: objects with the fields of a row, or plain strings with the URL."""

import json
from dataclasses import replace
from typing import Any

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.columns import ColumnMap, UnknownColumns, map_columns
from imgrelay_dagster.relay.manifest.options import ALL, ReadOptions
from imgrelay_dagster.relay.manifest.row_maker import RowMaker
from imgrelay_dagster.relay.manifest.rows import Row, bad_row

MAX_HELD = 1_000
"""Rows without a column of URLs, or without valid JSON, after which the whole manifest is refused."""

MAX_SHAPES = 1_000
"""Sets of field names whose columns are remembered."""

CARRIED = "carried"
"""The field of imgrelay's own `failed.jsonl` and `results.jsonl` that holds the carried columns."""


class JsonTable:
    """Makes rows of JSON values, each with columns of its own.

    Rows are held back until one of them has a URL, so that a manifest in which none has one is refused as a whole.
    """

    def __init__(self, name: str, options: ReadOptions) -> None:
        self._name, self._options = name, options
        self._maker = RowMaker(options)
        self._maps: dict[tuple[str, ...], ColumnMap | UnknownColumns] = {}
        self._held: list[Row] | None = []
        self._error: UnknownColumns | None = None
        self._is_json = False

    def parse(self, line: int, text: str) -> list[Row]:
        """The rows of one value, given as text."""
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            return self.broken(line, text, f"broken JSON: {error.msg} at character {error.pos + 1}")
        except (ValueError, RecursionError):
            return self.broken(line, text, "broken JSON: a number is too long or the nesting too deep")
        return self.add(line, text, value)

    def broken(self, line: int, text: str, error: str) -> list[Row]:
        """The row of a text that is not valid JSON, or too long to tell."""
        self._is_json = self._is_json or not error.startswith("broken JSON") or text.lstrip()[:1] in ("{", "[", '"')
        return self._release([bad_row(line, text, error)], found=False)

    def add(self, line: int, text: str, value: Any) -> list[Row]:
        """The rows of one value.

        Raises:
            RelayError: the manifest is refused as a whole.
        """
        self._is_json = True
        if isinstance(value, str):
            return self._release(self._maker.from_url(line, text, value), found=True)
        if not isinstance(value, dict):
            error = f"a line must be an object or a string, not {type(value).__name__}"
            return self._release([bad_row(line, text, error)], found=False)
        names = tuple(value)
        columns = self._maps.get(names)
        if columns is None:
            columns = self._map(names)
        if isinstance(columns, UnknownColumns):
            if self._held is not None and not columns.missing:
                raise RelayError(f"manifest {self._name!r}, line {line}: {columns}")
            self._error = self._error or columns
            error = "url is missing or empty" if columns.missing else str(columns)
            return self._release([bad_row(line, text, error)], found=False)
        values = list(value.values())
        own = value.get(CARRIED) if self._options.carry else None
        if isinstance(own, dict):
            columns, values = self._with_own(columns, values, own)
        return self._release(self._maker.from_values(line, text, values, columns), found=True, columns=columns)

    def finish(self) -> list[Row]:
        """The rows that are still held back at the end.

        Raises:
            RelayError: no row has a URL because none has such a column, or nothing is JSON.
        """
        held = self._held or []
        if held and self._error is not None:
            raise RelayError(f"manifest {self._name!r} {self._error}")
        if held and not self._is_json:
            raise RelayError(
                f"manifest {self._name!r} is not JSON: no line of it is; let its name end in .csv if it is a table, or "
                "in .txt if it has one URL per line"
            )
        self._held = None
        return held

    def _map(self, names: tuple[str, ...]) -> ColumnMap | UnknownColumns:
        try:
            columns: ColumnMap | UnknownColumns = map_columns(names, self._options, strict=False)
        except UnknownColumns as error:
            columns = error
        if len(self._maps) < MAX_SHAPES:
            self._maps[names] = columns
        return columns

    def _with_own(self, columns: ColumnMap, values: list[Any], own: dict[str, Any]) -> tuple[ColumnMap, list[Any]]:
        """The columns and values, with the carried columns of a row that imgrelay wrote."""
        wanted = list(own) if ALL in self._options.carry else [name for name, index in columns.carried if index is None]
        kept = [] if ALL in self._options.carry else [each for each in columns.carried if each[1] is not None]
        added = [(name, len(values) + number) for number, name in enumerate(wanted)]
        return replace(columns, carried=(*kept, *added)), [*values, *map(own.get, wanted)]

    def _release(self, rows: list[Row], *, found: bool, columns: ColumnMap | None = None) -> list[Row]:
        """The rows to yield now: none while nothing was found, then also those that were held back."""
        if self._held is None:
            return rows
        rows = [*self._held, *rows]
        if found:
            self._held = None
            if columns is not None:
                self._options.report(f"image URLs are in field {columns.url_name!r}")
            return rows
        self._held = rows
        return self.finish() if len(rows) >= MAX_HELD else []
