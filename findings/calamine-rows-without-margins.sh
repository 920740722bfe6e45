#!/usr/bin/env bash
# python-calamine 0.9.1: `to_python()` of a list begins at its first value, so a note in A1 moves all columns.
#
# The values begin with the first row and the first column of the sheet that hold anything. In a folder of lists by one
# form, with column A as a margin, what a program takes from index 1 is so column C, except in the lists in which
# someone wrote a note into column A. `iter_rows()` of the same sheet leaves out the empty columns, and not the empty
# rows, so row numbers differ between the two. openpyxl, and pandas with calamine, count from A1. Nothing is raised.
# What works: `to_python(skip_empty_area=False)`.
#
# Seen with python-calamine 0.9.1, XlsxWriter 3.3.1, openpyxl 3.1.5, Python 3.11 (counted from 0; B2 has `url`, C2 has
# `name`):
#
#   A1 empty, to_python: url in row 0, column 0
#   A1 empty, iter_rows: url in row 1, column 0
#   A1 empty, to_python(skip_empty_area=False): url in row 1, column 1
#   A1 empty, openpyxl: url in row 1, column 1
#   A1 draft, to_python: url in row 1, column 1
#   A1 draft, iter_rows: url in row 1, column 1
#   A1 draft, to_python(skip_empty_area=False): url in row 1, column 1
#   A1 draft, openpyxl: url in row 1, column 1
#
# Exits with 0 while this holds, and with 1 once both lists begin at the same cell.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check python-calamine==0.9.1 xlsxwriter==3.3.1 \
    openpyxl==3.1.5
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import openpyxl, python_calamine, xlsxwriter

found = []
for note in ("", "draft"):
    path = f"{sys.argv[1]}/list{note}.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        if note:
            sheet.write("A1", note)
        sheet.write_row("B2", ["url", "name"])
        sheet.write_row("B3", ["a.jpg", "shoe"])
    sheet = python_calamine.CalamineWorkbook.from_path(path).get_sheet_by_index(0)
    openpyxl_rows = [list(row) for row in openpyxl.load_workbook(path).active.iter_rows(values_only=True)]
    for name, rows in (("to_python", sheet.to_python()), ("iter_rows", list(sheet.iter_rows())),
                       ("to_python(skip_empty_area=False)", sheet.to_python(skip_empty_area=False)),
                       ("openpyxl", openpyxl_rows)):
        place = next((row, cells.index("url")) for row, cells in enumerate(rows) if "url" in cells)
        found.append(place)
        print(f"A1 {note or 'empty'}, {name}: url in row {place[0]}, column {place[1]}")
sys.exit(found[0] != (0, 0) or found[4] != (1, 1))
PYTHON
