#!/usr/bin/env bash
# openpyxl 3.1.5: a URL with `_x0020_` in its name turns into another URL on its way through an Excel workbook.
#
# In the cells of a workbook, `_xHHHH_` stands for a character, and `_x005F_` for the underscore of a text that only
# looks so. SharePoint makes such names of spaces (`IMG_x0020_1.jpg`). openpyxl writes them as they are, so readers that
# follow the format see a space. It reads strings of the workbook's table right, but leaves the escapes in strings that
# stand in the sheet itself, as XlsxWriter's `constant_memory` and other writers of large lists store them. Reading its
# own files shows neither. pandas is concerned where openpyxl is its engine.
#
# Seen with openpyxl 3.1.5, XlsxWriter 3.3.1, python-calamine 0.9.1, Python 3.11 (sent
# https://x.example/IMG_x0020_1.jpg):
#
#   written by openpyxl: openpyxl reads IMG_x0020_1.jpg, calamine reads IMG 1.jpg
#   written by XlsxWriter: openpyxl reads IMG_x0020_1.jpg, calamine reads IMG_x0020_1.jpg
#   written by XlsxWriter, constant_memory: openpyxl reads IMG_x005F_x0020_1.jpg, calamine reads IMG_x0020_1.jpg
#
# Exits with 0 while this holds, and with 1 once it changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openpyxl==3.1.5 xlsxwriter==3.3.1 \
    python-calamine==0.9.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import openpyxl
import python_calamine
import xlsxwriter

URL = "https://x.example/IMG_x0020_1.jpg"


def by_openpyxl(path):
    book = openpyxl.Workbook()
    book.active.append([URL])
    book.save(path)


def by_xlsxwriter(path, **options):
    with xlsxwriter.Workbook(path, {"strings_to_urls": False, **options}) as book:
        book.add_worksheet().write(0, 0, URL)


found = []
for name, write in (("openpyxl", by_openpyxl), ("XlsxWriter", by_xlsxwriter),
                    ("XlsxWriter, constant_memory", lambda path: by_xlsxwriter(path, constant_memory=True))):
    write("list.xlsx")
    book = openpyxl.load_workbook("list.xlsx", read_only=True)
    ((first,),) = book.active.iter_rows(values_only=True)
    book.close()
    ((second,),) = python_calamine.CalamineWorkbook.from_path("list.xlsx").get_sheet_by_index(0).to_python()
    print(f"written by {name}: openpyxl reads {first[18:]}, calamine reads {second[18:]}")
    found += [first[18:], second[18:]]
name = "IMG_x0020_1.jpg"
sys.exit(found != [name, "IMG 1.jpg", name, name, "IMG_x005F_x0020_1.jpg", name])
PYTHON
