#!/usr/bin/env bash
# pyarrow 25.0.1, pandas 3.1.1, DuckDB 2.0.1: of a folder of Parquet files, columns that the first has not are left out.
#
# A report in parts has the column `error` in the parts in which something failed, or since a new version. One expects
# nulls for the other parts, or an error, as polars raises one. But the first file by name decides which columns there
# are, and what others have more is dropped, without a word. It depends on the order alone: with the fuller file first,
# pyarrow and pandas read nulls for the other, and DuckDB raises. What works: a schema of all files for `dataset`, or
# `union_by_name` in DuckDB.
#
# Seen with pyarrow 25.0.1, pandas 3.1.1, DuckDB 2.0.1, polars 2.1.0, Python 3.11:
#
#   pyarrow, with the error in the second file: url
#   pyarrow.dataset, with the error in the second file: url
#   pandas, with the error in the second file: url
#   DuckDB, with the error in the second file: url
#   DuckDB, union_by_name, with the error in the second file: url, error
#   polars, with the error in the second file: raises SchemaError
#   pyarrow, in the first: url, error
#   pyarrow.dataset, in the first: url, error
#   pandas, in the first: url, error
#   DuckDB, in the first: raises InvalidInputException
#   DuckDB, union_by_name, in the first: url, error
#   polars, in the first: raises ColumnNotFoundError
#
# Exits with 0 while this holds, and with 1 once the column is read or refused.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==25.0.1 pandas==3.1.1 duckdb==2.0.1 \
    polars==2.1.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import pathlib, sys

import duckdb, pandas, polars, pyarrow
from pyarrow import dataset, parquet

plain = pyarrow.table({"url": ["a.jpg"]})
failed = pyarrow.table({"url": ["b.jpg"], "error": ["404"]})


def duck(options):
    rows = duckdb.sql(f"select * from read_parquet({options})")
    rows.fetchall()
    return rows.columns


READERS = {
    "pyarrow": lambda folder: parquet.read_table(folder).column_names,
    "pyarrow.dataset": lambda folder: dataset.dataset(folder).to_table().column_names,
    "pandas": lambda folder: list(pandas.read_parquet(folder).columns),
    "DuckDB": lambda folder: duck(f"'{folder}/*.parquet'"),
    "DuckDB, union_by_name": lambda folder: duck(f"'{folder}/*.parquet', union_by_name=true"),
    "polars": lambda folder: polars.read_parquet(folder).columns,
}
found = {}
for order, parts in (("with the error in the second file", (plain, failed)), ("in the first", (failed, plain))):
    folder = pathlib.Path(sys.argv[1]) / order.replace(" ", "-")
    folder.mkdir()
    for number, part in enumerate(parts):
        parquet.write_table(part, folder / f"part-{number}.parquet")
    for name, read in READERS.items():
        try:
            shown = ", ".join(read(str(folder)))
        except Exception as error:
            shown = f"raises {type(error).__name__}"
        found[name, order] = shown
        print(f"{name}, {order}: {shown}")
sys.exit(any(found[name, "with the error in the second file"] != "url" for name in list(READERS)[:4]))
PYTHON
