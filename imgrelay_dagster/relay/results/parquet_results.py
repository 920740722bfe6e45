"""`results.parquet`: the lines of `results.jsonl` as a table, for data tools. It needs the extra `parquet`."""

import importlib.util
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any, get_args, get_type_hints

from imgrelay_dagster.relay.outcomes import Record, Seconds

PARQUET_TYPE = "application/vnd.apache.parquet"
"""Content type of a Parquet file."""

FEWEST_ENTRIES = 101
"""A smaller run without carried columns gets no table: loading the library would take longer than its report."""

BATCH = 500
"""Lines that are converted at once: as Python objects they take much more memory than in the table."""

BATCHES = 10
"""Batches of a row group."""


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
    import pyarrow.parquet as pq  # noqa: PLC0415

    schema = _schema(pa, excluded, carried)
    with results.open("rb") as lines, pq.ParquetWriter(target, schema, compression="zstd") as writer:
        batches = _batches(pa, lines, schema)
        while group := list(islice(batches, BATCHES)):
            writer.write_table(pa.Table.from_batches(group))


def _batches(pa: Any, lines: Iterable[bytes], schema: Any) -> Iterator[Any]:
    lines = iter(lines)
    while batch := list(islice(lines, BATCH)):
        yield pa.RecordBatch.from_pylist([_row(json.loads(line), schema.names) for line in batch], schema=schema)


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


def _row(line: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The values of a line; a list or an object without columns of its own as JSON."""
    return dict(_values(line, names))


def _values(line: dict[str, Any], names: Collection[str]) -> Iterator[tuple[str, Any]]:
    for name in names:
        value = line.get(name)
        is_nested = isinstance(value, list | dict) and name not in ("seconds", "carried")
        yield name, json.dumps(value, ensure_ascii=False) if is_nested else value
