"""Parquet files and Excel workbooks as manifests."""

import io
import zipfile
from collections.abc import Iterator

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.options import Columns, ReadOptions
from imgrelay_dagster.relay.manifest.reader import read_manifest
from imgrelay_dagster.relay.manifest.rows import ManifestRow, Row
from tests.support.manifests import bad, error_of, read

A, B = "http://h/a.jpg", "http://h/b.jpg"


def parquet(columns: dict[str, object], **options: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, **options)
    return out.getvalue()


def workbook(*sheets: list[list[object]]) -> bytes:
    book, out = openpyxl.Workbook(), io.BytesIO()
    book.remove(book.active)
    for rows in sheets:
        sheet = book.create_sheet()
        for row in rows:
            sheet.append(row)
    book.save(out)
    return out.getvalue()


def rows_of(data: bytes, name: str, options: ReadOptions) -> list[Row]:
    return list(read_manifest(io.BytesIO(data), name, options))


def test_parquet_rows_are_numbered_from_one() -> None:
    data = parquet({"TEXT": ["x", "y", "z"], "URL": [A, None, B], "key": [7, 8, None], "n": [1.5, None, 2]})
    rows = rows_of(data, "laion.parquet", ReadOptions(carry=("text", "n")))
    assert rows[0] == ManifestRow(1, A, "7", carried={"text": "x", "n": "1.5"})
    assert (bad(rows[1]).line, bad(rows[1]).error) == (2, "url is missing or empty")
    assert rows[2] == ManifestRow(3, B, carried={"text": "z", "n": "2.0"})


def test_many_row_groups_and_types_are_read() -> None:
    urls = [f"http://h/{n}.jpg" for n in range(5_000)]
    for kind in (pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())):
        data = parquet({"x": urls, "url": pa.array(urls).cast(kind)}, row_group_size=700)
        assert [(row.line, row.url) for row in read(data, "m.parquet") if isinstance(row, ManifestRow)] == [
            *enumerate(urls, 1)
        ]


def test_lists_of_urls_become_entries() -> None:
    data = parquet({"images": [[A, B], [A], []], "key": ["k.jpg"] * 3})
    rows = rows_of(data, "m.parquet", ReadOptions(Columns(split=",")))
    assert rows[:3] == [
        ManifestRow(1, A, "k-1.jpg", part=1),
        ManifestRow(1, B, "k-2.jpg", part=2),
        ManifestRow(2, A, "k.jpg"),
    ]
    assert "holds 2 URLs; set columns.split" in bad(read(data, "m.parquet")[0]).error


@pytest.mark.parametrize("cut", [3, 60])
def test_damaged_parquet_is_refused(cut: int) -> None:
    assert "damaged Parquet file" in error_of(parquet({"url": [A]})[:-cut], "m.parquet")


def test_workbook_rows_are_those_of_the_sheet() -> None:
    data = workbook([["read me"]], [[], ["SKU", "Image Src", "Key"], [1001, A, 1001], [], [1002.5, B], [1003]])
    rows = rows_of(data, "shop.xlsx", ReadOptions(carry=("sku",)))
    assert rows[:2] == [
        ManifestRow(3, A, "1001", carried={"sku": "1001"}),
        ManifestRow(5, B, carried={"sku": "1002.5"}),
    ]
    assert (bad(rows[2]).line, bad(rows[2]).carried) == (6, {"sku": "1003"})
    assert read(workbook([[]]), "empty.xlsx") == []


@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
def test_visible_sheets_come_before_hidden_ones(state: str) -> None:
    def hide_first(data: bytes) -> bytes:
        book, out = openpyxl.load_workbook(io.BytesIO(data)), io.BytesIO()
        book.worksheets[0].sheet_state = state
        book.save(out)
        return out.getvalue()

    assert read(hide_first(workbook([["url"], [A]], [["url"], [B]])), "m.xlsx") == [ManifestRow(2, B)]
    assert read(hide_first(workbook([["url"], [A]], [["read me"]])), "m.xlsx") == [ManifestRow(2, A)]


def test_escaped_underscores_of_texts_in_cells_are_read() -> None:
    """A text in a cell of its own, as XlsxWriter writes it with `constant_memory`."""
    data = workbook([["url"], ["http://h/IMG_x005F_x0020_1.jpg"], ["http://h/a_x005F_b.jpg"], ["http://h/a_x0020_b"]])
    urls = [row.url for row in read(data, "m.xlsx") if isinstance(row, ManifestRow)]
    assert urls == ["http://h/IMG_x0020_1.jpg", "http://h/a_x005F_b.jpg", "http://h/a_x0020_b"]


def test_a_workbook_without_urls_lists_the_columns_of_its_sheets() -> None:
    message = error_of(workbook([["sku", "name"], [1, "x"]], [["a", "b"]]), "m.xlsx")
    assert "sheet 'Sheet' has no column 'url'" in message
    assert "its columns are 'sku', 'name'" in message
    assert "its columns are 'a', 'b'" in message
    assert message.endswith("; the names of the columns must be in the first row")


def test_a_workbook_that_expands_to_a_huge_row_is_refused() -> None:
    plain, out = zipfile.ZipFile(io.BytesIO(workbook([["url"], [A]]))), io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bomb:
        for part in plain.infolist():
            data = plain.read(part)
            if part.filename.startswith("xl/worksheets/"):
                data = data.replace(b"http://h/a.jpg", b"A" * (6 << 20)).replace(b"</sheetData>", b"A" * (6 << 20))
            bomb.writestr(part, data)
    assert "has a row of more than" in error_of(out.getvalue(), "m.xlsx")


def other_files() -> Iterator[tuple[bytes, str, str]]:
    table, book, zipped = parquet({"url": [A]}), workbook([["url"], [A]]), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("content.xml", "")
    yield table, "m.csv", "is a Parquet file; let its name end in .parquet"
    yield table, "m.xlsx", "is not an Excel workbook; it is a Parquet file"
    yield book, "m.jsonl", "is a zip archive or a spreadsheet; let its name end in .xlsx"
    yield book, "m.parquet", "is not a Parquet file; it is a zip archive or a spreadsheet"
    yield book[:-80], "m.xlsx", "is a damaged Excel workbook"
    yield zipped.getvalue(), "m.xlsx", "it is an OpenDocument spreadsheet; save it as .xlsx"
    yield b"\xd0\xcf\x11\xe0rest", "m.xlsx", "it is an old Excel workbook or one with a password"
    yield b"\xd0\xcf\x11\xe0rest", "m.xls", "is an old Excel workbook; save it as .xlsx"
    yield b"\xef\xbb\xbf\n<HTML>", "m.XLS", "is an HTML page, not a workbook; open it in a spreadsheet program"
    yield book, "m.xls", "perhaps a newer Excel workbook; let its name end in .xlsx if it is one; known are .txt"
    yield b"url\thttp://h/a", "m.xls", "is not an Excel workbook; if it is text, let its name end in .csv or .tsv"
    yield table, "m.xls", "is a Parquet file; let its name end in .parquet"
    yield b"<!DOCTYPE html><html>", "m.csv", "is an HTML page, perhaps of a login"
    yield b"\n<html>", "m.txt", "is an HTML page"
    yield b"\x89PNG\r\n\x1a\n", "m.txt", "is a PNG image, not a list of images"
    yield b"%PDF-1.7", "m.csv", "is a PDF"
    yield b"sku\turl\n1\thttp://h/a\n", "m.txt", "is a table: its first line names columns; let its name end in .csv"
    yield b"sku,url\n1,http://h/a\n", "m.jsonl", "is not JSON: no line of it is; let its name end in .csv"
    yield b"url\n", "m.parquet", "is not a Parquet file; it may be text"


@pytest.mark.parametrize(("data", "name", "message"), [*other_files()])
def test_files_with_a_wrong_name_are_called_by_their_true_one(data: bytes, name: str, message: str) -> None:
    assert message in error_of(data, name)


def test_a_missing_library_is_told_with_the_way_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(
        RelayError, match=r"needs the library pyarrow; install it with pip install 'imgrelay-dagster\[p"
    ):
        read(b"PAR1", "m.parquet")
