#!/usr/bin/env bash
# openpyxl 3.1.5: pictures placed in cells are lost when a workbook is saved again, and `#VALUE!` is stored for them.
#
# Excel places a picture over the cells or, since 2023, in a cell, where it is sorted and filtered with its row.
# openpyxl keeps the first kind if Pillow is installed, so a try with such a workbook shows pictures before and after.
# Of the second kind it keeps neither the picture nor the cell's reference to it: the cell is an error, which is all
# that other programs without this feature are meant to see. So a script that fills in one column of a product list
# deletes all such pictures, without a warning. Readers of lists see `#VALUE!` as a text, or, as python-calamine, an
# empty cell.
#
# Seen with openpyxl 3.1.5, XlsxWriter 3.3.1, python-calamine 0.9.1, Pillow 13.0.0, Python 3.11:
#
#   pictures in the workbook: 2; after load and save: 1
#   cell of the picture: openpyxl '#VALUE!', python-calamine ''
#   saved cell of the picture: openpyxl '#VALUE!'
#
# Exits with 0 while this holds, and with 1 once both pictures are kept.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openpyxl==3.1.5 xlsxwriter==3.3.1 \
    python-calamine==0.9.1 pillow==13.0.0
"$folder/venv/bin/python" -W error - "$folder" <<'PYTHON'
import sys, zipfile

import openpyxl, python_calamine, xlsxwriter
from PIL import Image

folder = sys.argv[1]
for colour in ("red", "blue"):
    Image.new("RGB", (40, 40), colour).save(f"{folder}/{colour}.png")
with xlsxwriter.Workbook(f"{folder}/products.xlsx") as book:
    sheet = book.add_worksheet()
    sheet.write_column("A1", ["sku", "shoe", "boot"])
    sheet.embed_image("B2", f"{folder}/red.png")
    sheet.insert_image("B3", f"{folder}/blue.png")


def pictures(name):
    with zipfile.ZipFile(f"{folder}/{name}") as file:
        return sum(entry.startswith("xl/media/") for entry in file.namelist())


book = openpyxl.load_workbook(f"{folder}/products.xlsx")
value = book.active["B2"].value
book.active["C2"] = "in stock"
book.save(f"{folder}/saved.xlsx")
other = python_calamine.CalamineWorkbook.from_path(f"{folder}/products.xlsx").get_sheet_by_index(0).to_python()[1][1]
saved = openpyxl.load_workbook(f"{folder}/saved.xlsx").active["B2"].value
before, after = pictures("products.xlsx"), pictures("saved.xlsx")
print(f"pictures in the workbook: {before}; after load and save: {after}")
print(f"cell of the picture: openpyxl {value!r}, python-calamine {other!r}")
print(f"saved cell of the picture: openpyxl {saved!r}")
sys.exit((before, after, saved) != (2, 1, "#VALUE!"))
PYTHON
