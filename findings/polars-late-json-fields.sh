#!/usr/bin/env bash
# polars 2.1.0: `read_ndjson` and `scan_ndjson` leave out a field that no line among the first 100 has, without a word.
#
# `infer_schema_length` (100) reads like a matter of types. It also decides which columns there are: a field that first
# appears later is dropped from every line. Lists of products often give a field only where it is needed, such as the
# template of the few images that differ, so such lines are treated like all others. `read_json` raises for the same
# data in an array, and pyarrow and pandas return the column. What works: `infer_schema_length=None`, or a `schema`.
#
# Seen with polars 2.1.0, pyarrow 26.0.1, Python 3.11 (line 101 of 101 has a template):
#
#   read_ndjson: url; scan_ndjson: url; with infer_schema_length=None: url, template
#   pyarrow: url, template
#   read_json of the same as an array: ComputeError
#
# Exits with 0 while this holds, and with 1 once the field is kept or refused.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check polars==2.1.0 pyarrow==26.0.1
"$folder/venv/bin/python" - "$folder/list.jsonl" <<'PYTHON'
import json, sys

import polars
import pyarrow.json

path = sys.argv[1]
lines = [{"url": f"https://shop.example/{number}.jpg"} for number in range(101)]
lines[100]["template"] = "sale.png"
with open(path, "w") as file:
    file.writelines(json.dumps(line) + "\n" for line in lines)

read, scanned = polars.read_ndjson(path), polars.scan_ndjson(path).collect()
whole = polars.read_ndjson(path, infer_schema_length=None)
names = [", ".join(table.columns) for table in (read, scanned, whole)]
print("read_ndjson: {}; scan_ndjson: {}; with infer_schema_length=None: {}".format(*names))
other = ", ".join(pyarrow.json.read_json(path).column_names)
print("pyarrow:", other)
try:
    array = ", ".join(polars.read_json(json.dumps(lines).encode()).columns)
except polars.exceptions.PolarsError as error:
    array = type(error).__name__
print("read_json of the same as an array:", array)
sys.exit(names != ["url", "url", "url, template"] or len(read) != 101 or other != "url, template")
PYTHON
