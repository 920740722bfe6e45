"""Rows of CSV manifests."""

import csv
import io
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgrelay_dagster.relay.manifest.lines import MAX_LINE
from imgrelay_dagster.relay.manifest.options import Columns, ReadOptions
from imgrelay_dagster.relay.manifest.reader import read_manifest
from imgrelay_dagster.relay.manifest.rows import ManifestRow, Row
from tests.support.manifests import bad, error_of, read


def test_columns_are_found_by_name() -> None:
    text = 'note, URL ,Key,TEMPLATE,note\nx,http://h/1, a/1.jpg ,f.png,y\n,"http://h/a,b",,\n,http://h/3\n'
    assert read(text, "m.csv") == [
        ManifestRow(2, "http://h/1", "a/1.jpg", "f.png"),
        ManifestRow(3, "http://h/a,b"),
        ManifestRow(4, "http://h/3"),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_rows_are_numbered_by_the_line_they_start_on(end: str) -> None:
    lines = [
        "url,note",
        'http://h/2,"one',
        "two",
        "",
        'four ""quoted"", with comma"',
        "",
        "http://h/7,",
        '"http://h/8",x',
    ]
    assert read(end.join(lines), "m.csv") == [
        ManifestRow(2, "http://h/2"),
        ManifestRow(7, "http://h/7"),
        ManifestRow(8, "http://h/8"),
    ]


def test_header_may_span_lines_and_follow_blank_lines() -> None:
    assert read('\n,,\n"a\nb",url\nx,http://h/5', "m.csv") == [ManifestRow(5, "http://h/5")]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("http://h/a,b,c", "3 values for 2 columns"),
        (",k.jpg", "url is missing"),
        ('"  ",k.jpg', "url is missing"),
        ('"http://h/a"b,k', "broken CSV"),
        ("http://h/\x00,k", "U+0000"),
        ("http://h/a,k\x1b", "key holds"),
    ],
)
def test_malformed_row_becomes_a_bad_row(line: str, error: str) -> None:
    before, row, after = read(f"url,key\nhttp://h/2,\n{line}\nhttp://h/4,\n", "m.csv")
    assert (before, after) == (ManifestRow(2, "http://h/2"), ManifestRow(4, "http://h/4"))
    assert bad(row).line == 3
    assert error in bad(row).error


def test_stray_quote_costs_only_its_own_line() -> None:
    """A quote that is never closed must not swallow the rest of the manifest."""
    lines = ["url", '"http://h/2', *(f"http://h/{n}" for n in range(3, 1000))]
    first, *rest = read("\n".join(lines), "m.csv")
    assert bad(first).line == 2
    assert "quote" in bad(first).error
    assert rest == [ManifestRow(n, f"http://h/{n}") for n in range(3, 1000)]


@pytest.mark.parametrize("after", ['"http://h/4",k', 'http://h/4,"k"', '"http://h/4","k"', "http://h/4,k"])
def test_stray_quote_before_other_quotes(after: str) -> None:
    first, *rest = read(f'url,key\n"http://h/2,k\nhttp://h/3,k\n{after}\n', "m.csv")
    assert bad(first).line == 2
    assert rest == [ManifestRow(3, "http://h/3", "k"), ManifestRow(4, "http://h/4", "k")]


def test_stray_quotes_on_every_line_take_linear_time() -> None:
    text = "url,x\n" + 'a","\n' * 2_000
    started = time.process_time()
    rows = read(text, "m.csv")
    assert [bad(row).line for row in rows] == list(range(2, 2_002))
    assert time.process_time() - started < 5


def test_line_break_in_a_url_is_a_bad_row() -> None:
    first, *rest = read('url,key\n"http://h/\n2",k\nhttp://h/4,k', "m.csv")
    assert (bad(first).line, "line break" in bad(first).error) == (2, True)
    assert rest[-1] == ManifestRow(4, "http://h/4", "k")


@pytest.mark.parametrize("lines", [5, 750])
def test_rows_over_the_limits_are_bad_rows(lines: int) -> None:
    note = "\n".join(["n" * 30_000] * lines) if lines < 500 else "\n" * lines
    first, *_, last = read(f'url,note\nhttp://h/2,"{note}"\nhttp://h/3,', "m.csv")
    assert bad(first).line == 2
    assert "not closed within 500 lines or 131,072 bytes" in bad(first).error
    assert last == ManifestRow(note.count("\n") + 3, "http://h/3")


@pytest.mark.parametrize(
    ("header", "error"),
    [
        ("link,key", "no column 'url' or another well-known name; its columns are 'link', 'key'; name the column"),
        ("name;key", "its columns are 'name', 'key'"),
        ("Export of 2026\n\nurl,key", "or --column url=NAME; the names of the columns must be in the first row"),
        ("url,image", "2 columns that may hold image URLs: 'url', 'image'; choose one with columns.url"),
        ("https://user:secret@h/a.jpg?secret", "its first row looks like data"),
        ("url,URL", "2 columns 'url'"),
        ("url,key, Key ", "2 columns 'key'"),
        ('url,"key', "broken header"),
        ("url," + "x" * MAX_LINE, "broken header"),
    ],
)
def test_csv_without_a_usable_header_is_refused(header: str, error: str) -> None:
    message = error_of(f"{header}\nhttp://h/1,a", "m.csv")
    assert error in message
    assert "secret" not in message


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line", ["sep={}", "SEP={} ", '"sep={}"'])
def test_the_first_line_may_state_the_separator(separator: str, line: str) -> None:
    text = f"{line.format(separator)}\r\nkey{separator}url\r\nk{separator}http://h/3\r\n"
    for name in ("m.csv", "m.tsv"):
        assert read(text, name) == [ManifestRow(3, "http://h/3", "k")]


fields = st.text(alphabet=st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20).filter(
    lambda text: "//" not in text and text[0] + text[-1] not in ("<>", "''", '""')  # these are mended
)


@given(st.lists(st.tuples(fields, fields, st.text(alphabet='a",\r\n ', max_size=12))))
def test_output_of_the_csv_module_is_read_back(table: list[tuple[str, str, str]]) -> None:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerows([("url", "key", "note"), *table])
    rows = read(out.getvalue(), "m.csv")
    assert [(row.url, row.key) for row in rows if isinstance(row, ManifestRow)] == [row[:2] for row in table]
    assert len(rows) == len(table)


def rows_of(content: str, columns: Columns) -> list[Row]:
    return list(read_manifest(io.BytesIO(content.encode()), "m.csv", ReadOptions(columns)))


def test_json_objects_in_a_cell_are_entries_of_their_own() -> None:
    images = json.dumps([{"id": 7, "src": "http://h/a.jpg"}, {"id": 8, "src": "http://h/b.jpg"}])
    text = io.StringIO()
    csv.writer(text).writerows([("sku", "images"), ("1", images), ("2", '{"id": 9}'), ("3", "http://h/c.jpg")])
    first, second, third, fourth = rows_of(text.getvalue(), Columns(key="sku", split=","))
    assert (first, second) == (
        ManifestRow(2, "http://h/a.jpg", "1-1", part=1),
        ManifestRow(2, "http://h/b.jpg", "1-2", part=2),
    )
    assert bad(third).text == '2,"{""id"": 9}"'
    assert "without one well-known field" in bad(third).error
    assert fourth == ManifestRow(4, "http://h/c.jpg", "3")
