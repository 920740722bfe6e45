#!/usr/bin/env bash
# polars 2.1.0: `read_excel` reads a text as null if the first 1,000 rows of its column are numbers, without an error.
#
# Article numbers are often digits alone, until one supplier has letters in them. The type of a column is inferred from
# its first 1,000 rows, and what does not fit it later becomes null: the URL stays, the article number by which the
# picture is to be stored is gone. `read_csv` raises for the same rows. `load_sheet` of fastexcel, with which polars
# reads Excel, does it in the same way. calamine, which both build on, returns the texts. What works: a schema
# (`schema_overrides={"sku": polars.String}`), or `infer_schema_length=None`.
#
# Seen with polars 2.1.0, fastexcel 0.21.0, python-calamine 0.9.1, Python 3.11 (1,000 numbers, then five texts):
#
#   read_excel: 5 of 1005 are null, type Int64
#   read_excel with infer_schema_length=None: 0 of 1005 are null, type String
#   read_excel with schema_overrides: 0 of 1005 are null, type String
#   read_csv of the same: ComputeError
#   calamine alone: the last one is 'A1004'
#
# Exits with 0 while this holds, and with 1 once the texts are kept or refused.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check polars==2.1.0 fastexcel==0.21.0 xlsxwriter==3.3.1 \
    python-calamine==0.9.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import polars
import xlsxwriter
from python_calamine import CalamineWorkbook

rows = [("sku", "url")] + [(number if number < 1_000 else f"A{number}", f"https://shop.example/{number}.jpg")
                           for number in range(1_005)]
with xlsxwriter.Workbook("list.xlsx", {"strings_to_urls": False}) as book:
    sheet = book.add_worksheet()
    for number, row in enumerate(rows):
        sheet.write_row(number, 0, row)
with open("list.csv", "w") as file:
    file.writelines(f"{sku},{url}\n" for sku, url in rows)

found = []
for name, options in (("read_excel", {}), ("read_excel with infer_schema_length=None", {"infer_schema_length": None}),
                      ("read_excel with schema_overrides", {"schema_overrides": {"sku": polars.String}})):
    column = polars.read_excel("list.xlsx", **options)["sku"]
    found.append(column.null_count())
    print(f"{name}: {found[-1]} of {len(column)} are null, type {column.dtype}")
try:
    print("read_csv of the same:", polars.read_csv("list.csv")["sku"].dtype)
except polars.exceptions.PolarsError as error:
    print("read_csv of the same:", type(error).__name__)
last = CalamineWorkbook.from_path("list.xlsx").get_sheet_by_index(0).to_python()[-1][0]
print(f"calamine alone: the last one is {last!r}")
sys.exit(found[0] != 5 or last != "A1004")
PYTHON
