#!/usr/bin/env bash
# XlsxWriter 3.3.1: URLs past the 65,530th of a sheet, or of more than 2,079 characters, leave empty cells.
#
# Excel holds so many links in a sheet, and so long ones. Text has no such limit, so one expects the text without a
# link. But `write` makes a link of every string that looks like one, and writes nothing at all if that fails. So do
# `DataFrame.to_excel` of pandas, whose engine is XlsxWriter where it is installed, and `write_excel` of polars. The
# exported list has all its rows, and those past the limit have no URL. A UserWarning says "Ignoring URL", not that the
# text is gone. What works: `strings_to_urls: False` in the options of the workbook; openpyxl as the engine.
#
# Seen with XlsxWriter 3.3.1, pandas 3.1.1, polars 2.1.0, python-calamine 0.9.1, Python 3.11:
#
#   pandas: 65540 rows written, 65540 read, 10 of them without a URL
#   polars: 65540 rows written, 65540 read, 10 of them without a URL
#   pandas, a URL of 2,080 characters: 0 characters read
#   pandas with strings_to_urls=False: 0 of 65540 rows without a URL
#
# Exits with 0 while this holds, and with 1 once the text is kept.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check xlsxwriter==3.3.1 pandas==3.1.1 polars==2.1.0 \
    python-calamine==0.9.1
"$folder/venv/bin/python" -W ignore::UserWarning - "$folder/list.xlsx" <<'PYTHON'
import sys

import pandas
import polars
from python_calamine import CalamineWorkbook

ROWS = 65_540
path = sys.argv[1]
columns = {"sku": list(range(ROWS)), "url": [f"https://shop.example/{number}.jpg" for number in range(ROWS)]}


def read():
    _, *rows = CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()
    return [url for _, url in rows]


def missing():
    return sum(not url for url in read())


found = []
for name, write in (("pandas", lambda: pandas.DataFrame(columns).to_excel(path, index=False)),
                    ("polars", lambda: polars.DataFrame(columns).write_excel(path))):
    write()
    found.append(missing())
    print(f"{name}: {ROWS} rows written, {len(read())} read, {found[-1]} of them without a URL")
long = "https://shop.example/" + "a" * 2_059
pandas.DataFrame({"sku": [1], "url": [long]}).to_excel(path, index=False)
found.append(len(read()[0]))
print(f"pandas, a URL of {len(long):,} characters: {found[-1]} characters read")
options = {"options": {"strings_to_urls": False}}
with pandas.ExcelWriter(path, engine="xlsxwriter", engine_kwargs=options) as writer:
    pandas.DataFrame(columns).to_excel(writer, index=False)
found.append(missing())
print(f"pandas with strings_to_urls=False: {found[-1]} of {ROWS} rows without a URL")
sys.exit(found != [10, 10, 0, 0])
PYTHON
