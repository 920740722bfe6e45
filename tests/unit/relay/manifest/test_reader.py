"""Manifests: every format, every malformed line, in flat memory."""

import contextlib
import csv
import gzip
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import obstore
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.reader import (
    BadRow,
    ManifestRow,
    Row,
    check_dataset,
    dataset_name,
    read_lines,
    read_manifest,
)

BOUND = 64 * 1024


def read(content: str | bytes, name: str) -> list[Row]:
    data = content.encode() if isinstance(content, str) else content
    return list(read_manifest(io.BytesIO(data), name))


def failure(content: str | bytes, name: str) -> str:
    with pytest.raises(RelayError) as caught:
        read(content, name)
    assert repr(name) in str(caught.value)
    return str(caught.value)


def bad(row: Row) -> BadRow:
    assert isinstance(row, BadRow), row
    return row


class OnlyRead:
    """A stream that can do nothing but read, a few bytes at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        self._rest = data
        self._step = step

    def read(self, size: int, /) -> bytes:
        size = min(size, self._step)
        head, self._rest = self._rest[:size], self._rest[size:]
        return head


# Text


def test_text_has_a_url_a_line() -> None:
    rows = read("# list\n\nhttp://h/1.jpg\n  \n\t http://h/2.jpg#top \t\n#http://h/3.jpg\nhttp://h/a b.jpg", "m.txt")
    assert rows == [
        ManifestRow(3, "http://h/1.jpg"),
        ManifestRow(5, "http://h/2.jpg#top"),
        ManifestRow(7, "http://h/a b.jpg"),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("last", [True, False])
def test_all_line_ends_count_the_same(end: str, mark: str, last: bool) -> None:
    lines = ["http://h/1", "", "http://h/3", "# x", "http://h/5"]
    text = mark + end.join(lines) + (end if last else "")
    expected = [ManifestRow(n, f"http://h/{n}") for n in (1, 3, 5)]
    assert read(text, "m.txt") == expected
    assert list(read_lines(text)) == expected
    objects = mark + end.join(json.dumps(line) if line[:1] == "h" else "" for line in lines)
    assert read(objects, "m.jsonl") == expected
    table = mark + end.join(["url", "", "http://h/3", '"http://h/4"', "http://h/5"]) + (end if last else "")
    assert read(table, "m.csv") == [ManifestRow(n, f"http://h/{n}") for n in (3, 4, 5)]


def test_byte_order_marks_inside_joined_files_are_dropped() -> None:
    assert read("\ufeffhttp://h/1\n\ufeffhttp://h/2\n", "m.txt") == [
        ManifestRow(1, "http://h/1"),
        ManifestRow(2, "http://h/2"),
    ]


def test_only_real_line_ends_end_a_line() -> None:
    """str.splitlines would cut at these too, and every later line number would be wrong."""
    rows = read("http://h/\x0b\x0c\x1c\x85\u2028\u2029\nhttp://h/2", "m.txt")
    assert [type(row) for row in rows] == [BadRow, ManifestRow]
    assert rows[1].line == 2


@pytest.mark.parametrize("character", ["\x00", "\t", "\x1f", "\x7f", "\x85", "\u2028"])
def test_control_characters_make_a_bad_row(character: str) -> None:
    before, row, after = read(f"http://h/1\nhttp://h/{character}2\nhttp://h/3", "m.txt")
    assert (before, after) == (ManifestRow(1, "http://h/1"), ManifestRow(3, "http://h/3"))
    assert bad(row).line == 2
    assert "url holds" in bad(row).why
    assert bad(row).text == "http://h/\ufffd2"


def test_lines_given_directly_follow_the_same_rules() -> None:
    given_urls = ["http://h/1", "", " # no", "http://h/4 ", "http://h/\n5", "x" * (BOUND + 1), "\ud800"]
    rows = list(read_lines(given_urls))
    assert rows[:2] == [ManifestRow(1, "http://h/1"), ManifestRow(4, "http://h/4")]
    assert [bad(row).line for row in rows[2:]] == [5, 6, 7]
    assert ["line break" in bad(rows[2]).why, "longer" in bad(rows[3]).why, "half" in bad(rows[4]).why] == [True] * 3


def test_lines_given_directly_are_taken_one_by_one() -> None:
    rows = read_lines(f"http://h/{n}" for n in iter(int, 1))
    assert [next(rows).line for _ in range(3)] == [1, 2, 3]


# CSV


def test_csv_takes_its_columns_by_name() -> None:
    text = 'note, URL ,Key,TEMPLATE,note\nx,http://h/1, a/1.jpg ,f.png,y\n,"http://h/a,b",,\n,http://h/3\n'
    assert read(text, "m.csv") == [
        ManifestRow(2, "http://h/1", "a/1.jpg", "f.png"),
        ManifestRow(3, "http://h/a,b"),
        ManifestRow(4, "http://h/3"),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv_rows_are_numbered_by_the_line_they_start_on(end: str) -> None:
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


def test_csv_header_may_span_lines_and_follow_blank_ones() -> None:
    assert read('\n,,\n"a\nb",url\nx,http://h/5', "m.csv") == [ManifestRow(5, "http://h/5")]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("http://h/a,b,c", "3 values for 2 columns"),
        (",k.jpg", "url is missing"),
        ('"  ",k.jpg', "url is missing"),
        ('"http://h/a"b,k', "broken CSV"),
        ("http://h/\x00,k", "U+0000"),
        ("http://h/a,k\x1b", "key holds"),
    ],
)
def test_csv_bad_rows(line: str, why: str) -> None:
    before, row, after = read(f"url,key\nhttp://h/2,\n{line}\nhttp://h/4,\n", "m.csv")
    assert (before, after) == (ManifestRow(2, "http://h/2"), ManifestRow(4, "http://h/4"))
    assert bad(row).line == 3
    assert why in bad(row).why


def test_csv_stray_quote_costs_its_own_line_only() -> None:
    """A quote that is never closed must not take the rest of the manifest with it."""
    lines = ["url", '"http://h/2', *(f"http://h/{n}" for n in range(3, 1000))]
    first, *rest = read("\n".join(lines), "m.csv")
    assert bad(first).line == 2
    assert "quote" in bad(first).why
    assert rest == [ManifestRow(n, f"http://h/{n}") for n in range(3, 1000)]


@pytest.mark.parametrize("after", ['"http://h/4",k', 'http://h/4,"k"', '"http://h/4","k"', "http://h/4,k"])
def test_csv_stray_quote_before_other_quotes(after: str) -> None:
    first, *rest = read(f'url,key\n"http://h/2,k\nhttp://h/3,k\n{after}\n', "m.csv")
    assert bad(first).line == 2
    assert rest == [ManifestRow(3, "http://h/3", "k"), ManifestRow(4, "http://h/4", "k")]


def test_csv_stray_quotes_on_every_line_take_linear_time() -> None:
    text = "url,x\n" + 'a","\n' * 2_000
    started = time.monotonic()
    rows = read(text, "m.csv")
    assert [bad(row).line for row in rows] == list(range(2, 2_002))
    assert time.monotonic() - started < 5


def test_csv_line_break_in_a_url_is_bad() -> None:
    first, *rest = read('url,key\n"http://h/\n2",k\nhttp://h/4,k', "m.csv")
    assert (bad(first).line, "line break" in bad(first).why) == (2, True)
    assert rest[-1] == ManifestRow(4, "http://h/4", "k")


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("link,key", "no column 'url' but 'link', 'key'"),
        ("url;key", "'url;key'"),
        ("https://user:secret@h/a.jpg?secret", "what looks like data"),
        ("url,URL", "2 columns 'url'"),
        ("url,key, Key ", "2 columns 'key'"),
        ('url,"key', "broken header"),
        ("url," + "x" * BOUND, "broken header"),
    ],
)
def test_csv_without_a_usable_header_is_refused(header: str, why: str) -> None:
    message = failure(f"{header}\nhttp://h/1,a", "m.csv")
    assert why in message
    assert "secret" not in message


# JSON lines


@pytest.mark.parametrize("name", ["m.jsonl", "m.ndjson"])
def test_json_takes_objects_and_strings(name: str) -> None:
    lines = [
        '{"url": " http://h/1 ", "key": "a.jpg", "template": "f.png", "outcome": {"x": [1]}}',
        "",
        ' "http://h/3#x" ',
        '{"url": "http://h/4", "key": null, "template": ""}',
        '{"url": "http://h/\\u00fc\\ud83d\\ude00"}',
    ]
    assert read("\n".join(lines), name) == [
        ManifestRow(1, "http://h/1", "a.jpg", "f.png"),
        ManifestRow(3, "http://h/3#x"),
        ManifestRow(4, "http://h/4"),
        ManifestRow(5, "http://h/ü\U0001f600"),
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"url": "http://h/secret"', "broken JSON"),
        ("http://h/secret", "broken JSON"),
        ("{'url': 'secret'}", "broken JSON"),
        ('{"url": "a"} {"url": "b"}', "broken JSON"),
        ("# secret", "broken JSON"),
        ("[" * 50_000, "broken JSON"),
        ("1" * 50_000, "broken JSON"),
        ('["http://h/secret"]', "not list"),
        ("7", "not int"),
        ("null", "not NoneType"),
        ("{}", "url is missing"),
        ('{"URL": "secret"}', "url is missing"),
        ('{"url": ""}', "url is missing"),
        ('""', "url is missing"),
        ('{"url": null}', "url is missing"),
        ('{"url": ["secret"]}', "url must be text, not list"),
        ('{"url": "a", "key": 7}', "key must be text, not int"),
        ('{"url": "a", "template": false}', "template must be text, not bool"),
        ('{"url": "a\\nsecret"}', "line break"),
        ('{"url": "a\\u0000secret"}', "U+0000"),
        ('{"url": "a", "key": "\\ud800"}', "key holds half a surrogate pair"),
    ],
)
def test_json_bad_rows(line: str, why: str) -> None:
    row, after = read(f'{line}\n"http://h/2"', "m.jsonl")
    assert after == ManifestRow(2, "http://h/2")
    assert bad(row).line == 1
    assert why in bad(row).why
    assert "secret" not in bad(row).why
    assert line.startswith(bad(row).text)
    assert len(bad(row).text) == min(len(line), 200)


# Files


@pytest.mark.parametrize("name", ["m.txt", "m.csv", "m.jsonl", "m.ndjson", "s3://b/p/M.2024.TXT"])
@pytest.mark.parametrize("content", ["", "\n", "\ufeff", "\r\n \r\n"])
def test_an_empty_manifest_has_no_rows(name: str, content: str) -> None:
    assert read(content, name) == []
    assert read(gzip.compress(content.encode()), name + ".gz") == []


@pytest.mark.parametrize("name", ["m", "m.gz", "m.xlsx", "m.txt.zip", "txt", "s3://b.txt/m", "m.json"])
def test_unknown_suffix_is_refused_at_once(name: str) -> None:
    with pytest.raises(RelayError, match="known suffix") as caught:
        read_manifest(io.BytesIO(b"http://h"), name)
    assert repr(name) in str(caught.value)
    assert ".ndjson" in str(caught.value)


FILES = {
    "m.txt": "http://h/1\nhttp://h/ü\n",
    "m.csv": "url\nhttp://h/1\nhttp://h/ü\n",
    "m.jsonl": '"http://h/1"\n{"url": "http://h/ü"}\n',
}


@pytest.mark.parametrize("name", FILES)
def test_gzip_reads_the_same(name: str) -> None:
    plain = read(FILES[name], name)
    assert [row.url for row in plain if isinstance(row, ManifestRow)] == ["http://h/1", "http://h/ü"]
    data = FILES[name].encode()
    assert read(gzip.compress(data), name + ".gz") == plain
    assert read(gzip.compress(data), name.upper() + ".GZ") == plain
    assert read(gzip.compress(data[:9]) + gzip.compress(data[9:]), name + ".gz") == plain


@pytest.mark.parametrize("name", FILES)
def test_broken_gzip_is_refused(name: str) -> None:
    data = gzip.compress("".join(f"{FILES[name]}{n}\n" for n in range(500)).encode())
    for cut in (2, 5, len(data) // 2, len(data) - 1):
        assert "cut short" in failure(data[:cut], name + ".gz")
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 0xFF
    assert "not sound gzip" in failure(bytes(damaged), name + ".gz")
    assert "not sound gzip" in failure(data + b"trailing", name + ".gz")
    assert "drop .gz" in failure(FILES[name], name + ".gz")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_recognised(name: str, encoding: str) -> None:
    message = failure(FILES[name].encode(encoding), name)
    assert "UTF-16" in message
    assert "save it as UTF-8" in message
    mark = "\ufeff" if encoding != "utf-16" else ""
    assert "is UTF-16" in failure((mark + FILES[name]).encode(encoding), name)


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("ü".encode("latin-1"), "line 1, byte 1"),
        (b"\xef\xbb\xbf# a\r\nhttp://h/\xe9.jpg\r\n", "line 2, byte 10 of that line, is 0xe9"),
        (b"http://h/1\n" * 50_000 + b"x\xff", "line 50001, byte 2 of that line, is 0xff"),
        (b"http://h/\xc3", "line 1, byte 10 of that line, is 0xc3"),
    ],
)
def test_other_encodings_are_refused_with_the_place(content: bytes, where: str) -> None:
    message = failure(content, "m.txt")
    assert where in message
    assert "save it as UTF-8" in message


def test_rows_ahead_of_the_trouble_are_given() -> None:
    rows = read_manifest(io.BytesIO(b"http://h/1\n\xff\n"), "m.txt")
    assert next(rows) == ManifestRow(1, "http://h/1")
    with pytest.raises(RelayError):
        next(rows)


@pytest.mark.parametrize(("start", "what"), [(b"\x1f\x8b\x08", "gzip"), (b"PK\x03\x04", "zip archive")])
def test_packed_files_under_a_plain_name_are_recognised(start: bytes, what: str) -> None:
    assert what in failure(start + b"rest", "m.csv")


def test_trouble_of_the_stream_itself_passes_through() -> None:
    class Broken(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise ConnectionResetError("gone")

    for name in ("m.txt", "m.txt.gz"):
        with pytest.raises(ConnectionResetError):
            list(read_manifest(Broken(), name))


@pytest.mark.parametrize("name", FILES)
def test_reads_what_obstore_opens(name: str) -> None:
    store = MemoryStore()
    for path, data in ((name, FILES[name].encode()), (name + ".gz", gzip.compress(FILES[name].encode()))):
        store.put(path, data)
        assert list(read_manifest(obstore.open_reader(store, path), path)) == read(FILES[name], name)  # type: ignore[arg-type]


# Long lines and long files


LONG: dict[str, Callable[[int], str]] = {
    "m.txt": lambda size: "h" * size,
    "m.csv": lambda size: "h" * size,
    "m.jsonl": lambda size: '"' + "h" * (size - 2) + '"',
}


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("step", [1 << 20, 1000, BOUND + 1])
def test_lines_over_the_bound_are_bad_and_no_more(name: str, end: str, step: int) -> None:
    head = ["url"] if name == "m.csv" else [""]
    fits, over, far_over, after = (LONG[name](size) for size in (BOUND, BOUND + 1, BOUND * 5, 20))
    text = end.join([*head, fits, over, far_over, after])
    rows = list(read_manifest(OnlyRead(text.encode(), step), name))  # type: ignore[arg-type]
    assert [row.line for row in rows] == [2, 3, 4, 5]
    assert [type(row) for row in rows] == [ManifestRow, BadRow, BadRow, ManifestRow]
    assert all("longer than 65,536 bytes" in bad(row).why for row in rows[1:3])


def test_a_lone_carriage_return_ends_a_long_line_where_the_stream_is_cut() -> None:
    stream: BinaryIO = OnlyRead(b"h" * (2 * BOUND - 1) + b"\rhttp://h/2", BOUND)  # type: ignore[assignment]
    over, after = read_manifest(stream, "m.txt")
    assert bad(over).line == 1
    assert after == ManifestRow(2, "http://h/2")


@pytest.mark.parametrize("lines", [3, 150])
def test_csv_rows_over_the_bounds_are_bad(lines: int) -> None:
    note = "\n".join(["n" * 30_000] * lines) if lines < 100 else "\n" * lines
    first, *_, last = read(f'url,note\nhttp://h/2,"{note}"\nhttp://h/3,', "m.csv")
    assert bad(first).line == 2
    assert "not closed within 100 lines or 65,536 bytes" in bad(first).why
    assert last == ManifestRow(note.count("\n") + 3, "http://h/3")


def test_the_bound_counts_bytes() -> None:
    assert "longer" in bad(read("ü" * (BOUND // 2) + "a", "m.txt")[0]).why
    assert "longer" in bad(next(read_lines(["ü" * (BOUND // 2) + "a"]))).why
    assert read("ü" * (BOUND // 2), "m.txt") == list(read_lines(["ü" * (BOUND // 2)]))


PEAK = """
import resource, sys
from imgrelay_dagster.relay.manifest.reader import read_manifest
class Same:
    def __init__(self, size): self.left = size
    def read(self, size, /):
        size = min(size, self.left); self.left -= size
        return b"h" * size
stream = open(sys.argv[1], "rb") if sys.argv[1] != "-" else Same(int(sys.argv[3]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = sum(1 for row in read_manifest(stream, sys.argv[2]))
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def peak(*arguments: str) -> tuple[int, int]:
    """Rows read by a process of its own, and by how many KiB its memory grew."""
    done = subprocess.run([sys.executable, "-c", PEAK, *arguments], capture_output=True, text=True, check=True)
    rows, grown = done.stdout.split()
    return int(rows), int(grown)


@pytest.mark.parametrize("name", ["m.txt", "m.jsonl"])
def test_a_line_without_end_needs_little_memory(name: str) -> None:
    rows, grown = peak("-", name, str(400 << 20))
    assert rows == 1
    assert grown < 8 * 1024


@pytest.mark.parametrize(
    ("name", "filler"), [("m.txt.gz", b"\x00"), ("m.csv.gz", b'"'), ("m.csv.gz", b"h"), ("m.jsonl.gz", b"[")]
)
def test_a_gzip_bomb_needs_little_memory(name: str, filler: bytes, tmp_path: Path) -> None:
    bomb = tmp_path / name
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        file.write(b"url\n")
        for _ in range(100):
            file.write(filler * (1 << 20))
    rows, grown = peak(str(bomb), name)
    assert rows == (1 if "csv" in name else 2)
    assert grown < 8 * 1024


def hundred_thousand(name: str) -> bytes:
    urls = [f"https://images.example.com/photos/{n}/picture-{n}.jpg?width=1200&sig={n}" for n in range(100_000)]
    if name == "m.csv":
        return ("url,key,note\n" + "".join(f'"{url}",k/{n},"a ""b"""\n' for n, url in enumerate(urls))).encode()
    if name == "m.jsonl":
        return "".join(json.dumps({"url": url, "key": f"k/{n}", "x": 1}) + "\n" for n, url in enumerate(urls)).encode()
    return "\n".join(urls).encode()


@pytest.mark.parametrize("name", ["m.txt", "m.csv", "m.jsonl"])
def test_a_hundred_thousand_lines_are_read_fast_and_in_flat_memory(name: str, tmp_path: Path) -> None:
    data = hundred_thousand(name)
    packed = gzip.compress(data, 1)
    for path, content in ((name, data), (name + ".gz", packed)):
        started = time.process_time()
        assert sum(isinstance(row, ManifestRow) for row in read(content, path)) == 100_000
        assert time.process_time() - started < 2
    (tmp_path / "m").write_bytes(packed)
    rows, grown = peak(str(tmp_path / "m"), name + ".gz")
    assert rows == 100_000
    assert grown < 8 * 1024


# Any content at all

pieces = st.lists(
    st.sampled_from(['"', ",", "\n", "\r", "\r\n", "url", "http://h/ä", " ", "#", "{", '"url":', "}", "\x00"])
)


@given(pieces.map("".join), st.integers(1, 9), st.sampled_from(list(FILES)))
@example('url\n"', 1, "m.csv")
def test_rows_do_not_depend_on_how_the_stream_is_cut(text: str, step: int, name: str) -> None:
    content = ("url,x\n" if name == "m.csv" else "") + text
    rows = read(content, name)
    stream: BinaryIO = OnlyRead(content.encode(), step)  # type: ignore[assignment]
    assert list(read_manifest(stream, name)) == rows
    numbers = [row.line for row in rows]
    assert numbers == sorted(set(numbers))


@given(st.binary(), st.sampled_from([*FILES, *(name + ".gz" for name in FILES)]))
def test_bytes_of_any_kind_give_rows_or_a_clear_failure(content: bytes, name: str) -> None:
    rows: list[Row] = []
    with contextlib.suppress(RelayError):
        rows = read(content, name)
    for row in rows:
        (row.url if isinstance(row, ManifestRow) else row.text + row.why).encode()
        assert row.url.strip() if isinstance(row, ManifestRow) else row.why


fields = st.text(alphabet=st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)


@given(st.lists(st.tuples(fields, fields, st.text(alphabet='a",\r\n ', max_size=12))))
def test_what_the_csv_module_writes_is_read_back(table: list[tuple[str, str, str]]) -> None:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerows([("url", "key", "note"), *table])
    rows = read(out.getvalue(), "m.csv")
    assert [(row.url, row.key) for row in rows if isinstance(row, ManifestRow)] == [row[:2] for row in table]
    assert len(rows) == len(table)


@given(st.lists(st.tuples(fields, fields, st.text())))
def test_what_the_json_module_writes_is_read_back(table: list[tuple[str, str, str]]) -> None:
    text = "\n".join(json.dumps({"url": url, "key": key, "x": x}) for url, key, x in table)
    assert read(text, "m.jsonl") == [ManifestRow(n, url, key) for n, (url, key, _) in enumerate(table, 1)]


# Datasets


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("s3://bucket/drops/shop.csv.gz", "shop"),
        ("manifests/daily.2024-05-01.JSONL", "daily.2024-05-01"),
        ("m.txt", "m"),
        ("list", "list"),
        ("/a/b/My list (1).txt", "My-list-1"),
        ("../.hidden.csv", "hidden"),
        ("/a/...txt", "manifest"),
        ("..", "manifest"),
        ("", "manifest"),
        ("s3://b/画像.txt", "manifest"),
        ("x" * 300 + ".txt", "x" * 100),
        ("s3://b/p/_relay/shop/runs/4f-1/failed.jsonl", "shop"),
        ("_relay/shop.v2/runs/4f-1/failed.jsonl", "shop.v2"),
        ("out/_relay/a b/runs/1/failed.jsonl", "a-b"),
        ("out/relay/shop/runs/1/failed.jsonl", "failed"),
    ],
)
def test_dataset_name_comes_from_the_file(address: str, name: str) -> None:
    assert dataset_name(address) == name


@given(st.text())
@example("_relay/../runs/x/failed.jsonl")
@example("_relay/ /runs/x/failed.jsonl")
def test_dataset_name_is_always_valid(address: str) -> None:
    name = dataset_name(address)
    check_dataset(name)
    assert 1 <= len(name) <= 100
    assert dataset_name(name + ".txt") == name


@pytest.mark.parametrize("name", ["a", "A.b_c-1", "_x", "a..b", "x" * 100])
def test_safe_dataset_names_pass(name: str) -> None:
    assert check_dataset(name) is None


@pytest.mark.parametrize("name", ["", ".", "..", ".a", "a/b", "../a", "a\\b", "a b", "a\n", "ä", "a#1", "x" * 101])
def test_unsafe_dataset_names_are_refused(name: str) -> None:
    with pytest.raises(RelayError, match="no safe name; use 1 to 100"):
        check_dataset(name)
