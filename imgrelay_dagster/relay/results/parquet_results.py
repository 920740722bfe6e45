"""`results.parquet`: the lines of `results.jsonl` as a table, for data tools. It needs the extra `parquet`."""

import importlib.util
from collections.abc import Collection, Iterator
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import IO, Any, get_args, get_type_hints

from imgrelay_dagster.relay.outcomes import Record, Seconds

PARQUET_TYPE = "application/vnd.apache.parquet"
"""Content type of a Parquet file."""

FEWEST_ENTRIES = 101
"""A smaller run without carried columns gets no table: loading the library would take longer than its report."""

BLOCK_BYTES = 256 << 10
"""Bytes of lines that are converted at once: as Python objects they take much more memory than in the table."""

BLOCKS = 8
"""Blocks of a row group."""


def wants_parquet(entries: int, carried: Collection[str]) -> bool:
    """Whether a run with so many entries and these carried columns gets a table; never without the library."""
    return (entries >= FEWEST_ENTRIES or bool(carried)) and importlib.util.find_spec("pyarrow") is not None


def write_parquet(results: Path, target: Path, excluded: Collection[str], carried: Collection[str]) -> None:
    """Convert `results.jsonl`.

    Args:
        excluded: fields of a record that the results do not have.
        carried: names of the carried columns.
    """
    import pyarrow as pa  # noqa: PLC0415 - an optional extra, and slow to load
    import pyarrow.json as pj  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    schema = _schema(pa, excluded, carried)
    with results.open("rb") as lines, pq.ParquetWriter(target, schema, compression="zstd") as writer:
        blocks = _blocks(pa, pj, lines, schema)
        while group := list(islice(blocks, BLOCKS)):
            writer.write_table(pa.concat_tables(group))


def _blocks(pa: Any, pj: Any, lines: IO[bytes], schema: Any) -> Iterator[Any]:
    parsing = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    while block := b"".join(lines.readlines(BLOCK_BYTES)):
        reading = pj.ReadOptions(use_threads=False, block_size=len(block) + 1)  # otherwise a long line is an error
        yield pj.read_json(pa.BufferReader(block), reading, parsing)


def _schema(pa: Any, excluded: Collection[str], carried: Collection[str]) -> Any:
    hints = get_type_hints(Record)
    columns: list[tuple[str, Any]] = []
    for name in (field.name for field in fields(Record)):
        kinds = get_args(hints[name]) or (hints[name],)
        if name in excluded or (name == "carried" and not carried):
            continue
        if name == "carried":
            columns.append((name, pa.struct([(column, pa.string()) for column in carried])))
        elif Seconds in kinds:
            columns.append((name, pa.struct([(field.name, pa.float64()) for field in fields(Seconds)])))
        elif bool in kinds:
            columns.append((name, pa.bool_()))
        elif int in kinds:
            columns.append((name, pa.int64()))
        else:
            columns.append((name, pa.float64() if float in kinds else pa.string()))
    return pa.schema(columns)
