"""The rows of an Excel workbook, read as a stream."""

import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.binary_file import SeekableFile, optional_library, refuse_other_file
from imgrelay_dagster.relay.manifest.columns import ColumnMap, UnknownColumns, map_columns
from imgrelay_dagster.relay.manifest.options import ReadOptions
from imgrelay_dagster.relay.manifest.row_maker import RowMaker
from imgrelay_dagster.relay.manifest.rows import MAX_TEXT, Row

MAX_PART = 128 * 1024 * 1024
"""Bytes of a decompressed part that is held in memory: shared strings, styles."""

MAX_SHEET = 4 * 1024 * 1024 * 1024
"""Bytes of a decompressed sheet, which is read as a stream."""

MAX_ROW = 4 * 1024 * 1024
"""Bytes of one row of a sheet."""

_ROW_END = b"row>"

_ESCAPED_UNDERSCORE = re.compile("_x005F(?=_x[0-9A-Fa-f]{4}_)", re.IGNORECASE)
"""Before a text that looks like an escaped character (`ST_Xstring` in ISO/IEC 29500-1 22.9.2.19)."""

_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, TypeError),
    SyntaxError,  # invalid XML
    NotImplementedError,  # an unknown compression
    RuntimeError,  # a part with a password
)


def xlsx_rows(stream: BinaryIO, name: str, options: ReadOptions) -> Iterator[Row]:
    """Yield the rows below the header, numbered as in the sheet. Empty rows are skipped.

    The first sheet that has a column of URLs is read, a hidden one only if no visible one has such a column. Of a
    formula, the value counts that was saved with it.

    Raises:
        RelayError: while being iterated: openpyxl is not installed, the file is damaged or something else, expands to
            an excessive size, or does not say where the URLs are.
    """
    openpyxl = optional_library("openpyxl", "xlsx", name)
    file = SeekableFile(stream)
    refuse_other_file(file, name, b"PK", "an Excel workbook")
    try:
        book = openpyxl.load_workbook(_guarded(file, name), read_only=True, data_only=True, keep_links=False)
        found = _find_table(book, name, options)
        if found is None:
            return
        title, columns, numbered = found
        options.report(f"image URLs are in column {columns.url_name!r} of sheet {title!r}")
        maker = RowMaker(options)
        for line, cells in numbered:
            values = [_plain(cell) for cell in cells]
            if any(value is not None and value != "" for value in values):
                url = columns.fields[0]
                shown = values[url] if url is not None and url < len(values) else None
                yield from maker.from_values(line, str(shown or "")[:MAX_TEXT], values, columns)
    except _DAMAGED as error:
        raise RelayError(
            f"manifest {name!r} is a damaged Excel workbook: {type(error).__name__}: {error}; save it again"
        ) from error


def _find_table(
    book: Any, name: str, options: ReadOptions
) -> tuple[str, ColumnMap, Iterator[tuple[int, tuple[Any, ...]]]] | None:
    """Title, columns and remaining rows of the first sheet with a column of URLs; None when all sheets are empty."""
    errors: list[str] = []
    for sheet in sorted(book.worksheets, key=lambda each: each.sheet_state != "visible"):
        sheet.reset_dimensions()  # some writers state wrong ones
        numbered = enumerate(sheet.iter_rows(values_only=True), 1)
        for _, cells in numbered:
            names = ["" if cell is None else str(_plain(cell)) for cell in cells]
            if any(each.strip() for each in names):
                try:
                    return sheet.title, map_columns(names, options), numbered
                except UnknownColumns as error:
                    errors.append(f"sheet {sheet.title!r} {error.header_message()}")
                break
    if errors:
        raise RelayError(f"manifest {name!r}: {'; '.join(errors[:3])}")
    return None


def _plain(value: Any) -> Any:
    """A cell's value. Excel holds every number as a float, also article numbers.

    A text with `_x0020_` in it is stored as `_x005F_x0020_`. openpyxl 3.1 undoes that in shared strings only.
    """
    if isinstance(value, str):
        return _ESCAPED_UNDERSCORE.sub("", value) if "_x" in value else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _guarded(file: SeekableFile, name: str) -> SeekableFile:
    """The file, after a check of the sizes that its parts have when they are decompressed.

    `zipfile` reads no more of a part than the size stated here, so a bomb cannot hide.
    """
    with zipfile.ZipFile(file) as archive:
        names = set(archive.namelist())
        if "[Content_Types].xml" not in names:
            kind = "an OpenDocument spreadsheet; save it as .xlsx" if "content.xml" in names else "a zip archive"
            raise RelayError(f"manifest {name!r} is not an Excel workbook; it is {kind}")
        for part in archive.infolist():
            is_sheet = part.filename.startswith("xl/worksheets/")
            if part.file_size > (MAX_SHEET if is_sheet else MAX_PART):
                raise RelayError(
                    f"manifest {name!r} expands to {part.file_size:,} bytes in {part.filename!r}; save the list as .csv"
                )
            if is_sheet and part.file_size > MAX_ROW:
                _check_rows(archive, part, name)
    file.seek(0)
    return file


def _check_rows(archive: zipfile.ZipFile, part: zipfile.ZipInfo, name: str) -> None:
    """Check that no row of a sheet is excessively long, because a row is held in memory."""
    length, tail = 0, b""
    with archive.open(part) as sheet:
        while chunk := sheet.read(1024 * 1024):
            joined = tail + chunk
            last = joined.rfind(_ROW_END)
            length = len(joined) - last if last >= 0 else length + len(chunk)
            if length > MAX_ROW:
                raise RelayError(f"manifest {name!r} has a row of more than {MAX_ROW:,} bytes; save the list as .csv")
            tail = chunk[-len(_ROW_END) + 1 :]
