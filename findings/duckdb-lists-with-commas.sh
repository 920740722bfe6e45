#!/usr/bin/env bash
# duckdb 2.0.1: `read_csv` of a list of URLs loses all lines before the first URL with a comma, if those end the list.
#
# A list of one column, with a header, and URLs of which some have a comma, as image services write their sizes. The
# reader guesses the delimiter. If the lines with commas are the last ones, it takes the comma, and whatever is before,
# header included, for a preamble to be skipped; the first URL with a comma becomes the header. There is no error, also
# not with header=True. With other lines behind them, the same URLs are read right, so it depends on the order of the
# list. Semicolons and bars in URLs do the same. What works: a `sep` that no line has, or quotes around these URLs.
#
# Seen with duckdb 2.0.1, Python 3.11 (100 URLs):
#
#   a comma in the 50th: 100 rows of url
#   a comma in the last two: 1 row of https://cdn.example/w_100, h_200/98.jpg
#   a comma in the last two, header=True: 1 row of https://cdn.example/w_100, h_200/98.jpg
#   a comma in the last one: 0 rows of https://cdn.example/w_100, h_200/99.jpg
#   a comma in the last two, sep="\t": 100 rows of url
#
# Exits with 0 while this holds, and with 1 once the lines are kept or refused.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.1
"$folder/venv/bin/python" - "$folder/list.csv" <<'PYTHON'
import sys

import duckdb

path, found = sys.argv[1], []
for what, commas, options in (
    ("the 50th", {49}, {}),
    ("the last two", {98, 99}, {}),
    ("the last two, header=True", {98, 99}, {"header": True}),
    ("the last one", {99}, {}),
    ('the last two, sep="\\t"', {98, 99}, {"sep": "\t"}),
):
    urls = [f"https://cdn.example/{'w_100,h_200/' if number in commas else ''}{number}.jpg" for number in range(100)]
    with open(path, "w") as file:
        file.writelines(line + "\n" for line in ["url", *urls])
    table = duckdb.read_csv(path, **options)
    rows = len(table.fetchall())
    found.append(rows)
    print(f"a comma in {what}: {rows} row{'' if rows == 1 else 's'} of {', '.join(table.columns)}")
sys.exit(found != [100, 1, 1, 0, 100])
PYTHON
