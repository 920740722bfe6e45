#!/usr/bin/env bash
# duckdb 2.0.1: `read_json` turns quoted texts into dates, times and UUIDs, and written out they are other texts.
#
# In JSON a quoted value is a text, and DuckDB leaves "00123" and "1e5" one. But a column of which each text can be read
# as a date, a time or a UUID becomes one: the article 1-2-3 is the 3rd of February of the year 1, and a UUID in
# capitals, as a key or a file name, is one in small letters, which is another object in a store. Joined to URLs or
# written out, none of them is what came. It depends on the other rows: one article that is no date keeps all of them,
# so a feed works until the day when it has only such ones. `date_format` does not prevent it. What works: `columns`
# with VARCHAR.
#
# Seen with duckdb 2.0.1, Python 3.11 (the type of the column, and its values as text):
#
#   00123: VARCHAR 00123
#   1-2-3, 1-2-A: VARCHAR 1-2-3, 1-2-A
#   1-2-3: DATE 0001-02-03
#   1-2-3, date_format: DATE 0001-02-03
#   1-2-3, columns: VARCHAR 1-2-3
#   550E8400-E29B-41D4-A716-446655440000: UUID 550e8400-e29b-41d4-a716-446655440000
#
# Exits with 0 while this holds, and with 1 once it changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.1
"$folder/venv/bin/python" - "$folder/list.jsonl" <<'PYTHON'
import json, sys

import duckdb

path, found = sys.argv[1], []


def read(*texts, **options):
    with open(path, "w") as file:
        file.writelines(json.dumps({"article": text}) + "\n" for text in texts)
    table = duckdb.read_json(path, **options)
    values = [value for (value,) in table.project("CAST(article AS VARCHAR)").fetchall()]
    found.append(f"{table.types[0]} {', '.join(values)}")
    print(f"{', '.join([*texts, *options])}: {found[-1]}")


read("00123")
read("1-2-3", "1-2-A")
read("1-2-3")
read("1-2-3", date_format="%Y-%m-%d")
read("1-2-3", columns={"article": "VARCHAR"})
read("550E8400-E29B-41D4-A716-446655440000")
sys.exit(found != [
    "VARCHAR 00123",
    "VARCHAR 1-2-3, 1-2-A",
    "DATE 0001-02-03",
    "DATE 0001-02-03",
    "VARCHAR 1-2-3",
    "UUID 550e8400-e29b-41d4-a716-446655440000",
])
PYTHON
