"""The rows of a Parquet manifest, read in batches and only from the columns that are needed."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.binary_file import SeekableFile, optional_library, refuse_other_file
from imgrelay_dagster.relay.manifest.columns import ColumnMap, UnknownColumns, map_columns
from imgrelay_dagster.relay.manifest.options import ReadOptions
from imgrelay_dagster.relay.manifest.row_maker import RowMaker
from imgrelay_dagster.relay.manifest.rows import MAX_TEXT, Row

BATCH = 1_000
"""Rows that are decoded at once."""

BUFFER = 256 * 1024
"""Bytes that are read at once of each column. Without it, a whole column chunk is read into memory."""


def parquet_rows(stream: BinaryIO, name: str, options: ReadOptions) -> Iterator[Row]:
    """Yield the rows of a Parquet file, numbered from 1.

    Raises:
        RelayError: while being iterated: pyarrow is not installed, the file is damaged or something else, or does not
            say where the URLs are.
    """
    pyarrow = optional_library("pyarrow", "parquet", name)
    parquet = optional_library("pyarrow.parquet", "parquet", name)
    file = SeekableFile(stream)
    refuse_other_file(file, name, b"PAR1", "a Parquet file")
    try:
        table = parquet.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER)
        names = table.schema_arrow.names
        columns = map_columns(names, options)
        wanted, narrowed = _narrow(names, columns)
        options.report(f"image URLs are in column {columns.url_name!r}")
        maker = RowMaker(options)
        line = 0
        for batch in table.iter_batches(BATCH, columns=wanted, use_threads=False):
            positions = [batch.schema.get_all_field_indices(each)[0] for each in wanted]
            for values in zip(*(_values(batch.column(position)) for position in positions), strict=True):
                line += 1
                yield from maker.from_values(line, _shown(values[0]), values, narrowed)
    except UnknownColumns as error:
        raise RelayError(f"manifest {name!r} {error}") from None
    except (pyarrow.ArrowException, OSError, ValueError) as error:  # OSError: of its metadata; ValueError: of its texts
        raise RelayError(f"manifest {name!r} is a damaged Parquet file: {error}; copy it again") from error


def _narrow(names: list[str], columns: ColumnMap) -> tuple[list[str], ColumnMap]:
    """The names of the columns to read, that of the URLs first, and the positions among them."""
    used = [*columns.fields, *columns.fallbacks, *(index for _, index in columns.carried)]
    positions = list(dict.fromkeys(index for index in used if index is not None))
    place = {index: number for number, index in enumerate(positions)}
    fields = tuple(None if index is None else place[index] for index in columns.fields)
    carried = tuple((name, None if index is None else place[index]) for name, index in columns.carried)
    fallbacks = tuple(place[index] for index in columns.fallbacks)
    return [names[index] for index in positions], ColumnMap(fields, fallbacks, carried, columns.url_name)


def _values(column: Any) -> list[Any]:
    values: list[Any] = column.to_pylist()
    return [value.decode(errors="replace") if isinstance(value, bytes) else value for value in values]


def _shown(url: object) -> str:
    return "" if url is None else str(url)[:MAX_TEXT]
