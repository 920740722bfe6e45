"""Lines of a manifest: line endings, encodings, gzip and the limit on the length of a line."""

import gzip
import io
import json
from collections.abc import Callable
from typing import BinaryIO

import pytest

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.lines import MAX_LINE
from imgrelay_dagster.relay.manifest.options import Columns, ReadOptions
from imgrelay_dagster.relay.manifest.reader import read_lines, read_manifest
from imgrelay_dagster.relay.manifest.rows import BadRow, ManifestRow
from tests.support.manifests import FILES, ChunkedStream, bad, error_of, read


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("last", [True, False])
def test_all_line_endings_are_equivalent(end: str, mark: str, last: bool) -> None:
    lines = ["http://h/1", "", "http://h/3", "# x", "http://h/5"]
    text = mark + end.join(lines) + (end if last else "")
    expected = [ManifestRow(n, f"http://h/{n}") for n in (1, 3, 5)]
    assert read(text, "m.txt") == expected
    assert list(read_lines(text)) == expected
    objects = mark + end.join(json.dumps(line) if line[:1] == "h" else "" for line in lines)
    assert read(objects, "m.jsonl") == expected
    table = mark + end.join(["url", "", "http://h/3", '"http://h/4"', "http://h/5"]) + (end if last else "")
    assert read(table, "m.csv") == [ManifestRow(n, f"http://h/{n}") for n in (3, 4, 5)]


def test_byte_order_marks_inside_concatenated_files_are_dropped() -> None:
    assert read("\ufeffhttp://h/1\n\ufeffhttp://h/2\n", "m.txt") == [
        ManifestRow(1, "http://h/1"),
        ManifestRow(2, "http://h/2"),
    ]


def test_only_line_endings_end_a_line() -> None:
    """str.splitlines would split at these characters too, and all later line numbers would be wrong."""
    rows = read("http://h/\x0b\x0c\x1c\x85\u2028\u2029\nhttp://h/2", "m.txt")
    assert [type(row) for row in rows] == [BadRow, ManifestRow]
    assert rows[1].line == 2


@pytest.mark.parametrize("name", FILES)
def test_gzip_gives_the_same_rows(name: str) -> None:
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
        assert "cut short" in error_of(data[:cut], name + ".gz")
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 0xFF
    assert "not valid gzip" in error_of(bytes(damaged), name + ".gz")
    assert "not valid gzip" in error_of(data + b"trailing", name + ".gz")
    assert "remove .gz" in error_of(FILES[name], name + ".gz")


@pytest.mark.parametrize(("start", "kind"), [(b"\x1f\x8b\x08", "gzip"), (b"PK\x03\x04", "zip archive")])
def test_compressed_file_with_a_plain_suffix_is_recognized(start: bytes, kind: str) -> None:
    assert kind in error_of(start + b"rest", "m.csv")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_read_by_its_mark(name: str, encoding: str) -> None:
    """Excel saves "Unicode text" like this."""
    assert read(("\ufeff" + FILES[name]).encode(encoding), name) == read(FILES[name], name)
    message = error_of(FILES[name].encode(encoding), name)
    assert "looks like UTF-16" in message
    assert "save it as UTF-8" in message
    assert "is not utf-16" in error_of(("\ufeff" + FILES[name]).encode(encoding)[:-1], name)


@pytest.mark.parametrize(("encoding", "text"), [("cp1252", "http://h/ü€.jpg"), ("shift_jis", "http://h/画像.jpg")])
def test_a_named_encoding_is_used(encoding: str, text: str) -> None:
    options = ReadOptions(Columns(encoding=encoding))
    for step in (1, 5, 1000):
        stream = ChunkedStream((text + "\r\nhttp://h/2").encode(encoding), step)
        rows = list(read_manifest(stream, "m.txt", options))  # type: ignore[arg-type]
        assert rows == [ManifestRow(1, text), ManifestRow(2, "http://h/2")]
    marked = ("\ufeff" + text).encode()
    assert list(read_manifest(io.BytesIO(marked), "m.txt", options)) == [ManifestRow(1, text)]


def test_a_wrong_encoding_is_told_with_the_line() -> None:
    options = ReadOptions(Columns(encoding="ascii"))
    with pytest.raises(RelayError, match=r"is not ascii: .* near line 1; save it as UTF-8"):
        list(read_manifest(io.BytesIO("http://h/1\nhttp://h/ü\n".encode()), "m.txt", options))


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("ü".encode("latin-1"), "line 1, byte 1"),
        (b"\xef\xbb\xbf# a\r\nhttp://h/\xe9.jpg\r\n", "line 2, byte 10 of that line, is 0xe9"),
        (b"http://h/1\n" * 50_000 + b"x\xff", "line 50001, byte 2 of that line, is 0xff"),
        (b"http://h/\xc3", "line 1, byte 10 of that line, is 0xc3"),
    ],
)
def test_other_encodings_are_refused_with_line_and_byte(content: bytes, where: str) -> None:
    message = error_of(content, "m.txt")
    assert where in message
    assert "save it as UTF-8" in message


def test_exception_of_the_stream_is_not_caught() -> None:
    class Broken(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise ConnectionResetError("gone")

    for name in ("m.txt", "m.txt.gz"):
        with pytest.raises(ConnectionResetError):
            list(read_manifest(Broken(), name))


LONG: dict[str, Callable[[int], str]] = {
    "m.txt": lambda size: "h" * size,
    "m.csv": lambda size: "h" * size,
    "m.jsonl": lambda size: '"' + "h" * (size - 2) + '"',
}


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("step", [1 << 20, 1000, MAX_LINE + 1])
def test_only_lines_over_the_limit_are_bad_rows(name: str, end: str, step: int) -> None:
    head = ["url"] if name == "m.csv" else [""]
    fits, over, far_over, after = (LONG[name](size) for size in (MAX_LINE, MAX_LINE + 1, MAX_LINE * 5, 20))
    text = end.join([*head, fits, over, far_over, after])
    rows = list(read_manifest(ChunkedStream(text.encode(), step), name))  # type: ignore[arg-type]
    assert [row.line for row in rows] == [2, 3, 4, 5]
    assert [type(row) for row in rows] == [ManifestRow, BadRow, BadRow, ManifestRow]
    assert all("longer than 65,536 bytes" in bad(row).error for row in rows[1:3])


def test_carriage_return_at_a_chunk_boundary_ends_a_long_line() -> None:
    stream: BinaryIO = ChunkedStream(b"h" * (2 * MAX_LINE - 1) + b"\rhttp://h/2", MAX_LINE)  # type: ignore[assignment]
    over, after = read_manifest(stream, "m.txt")
    assert bad(over).line == 1
    assert after == ManifestRow(2, "http://h/2")


def test_line_limit_counts_bytes() -> None:
    assert "longer" in bad(read("ü" * (MAX_LINE // 2) + "a", "m.txt")[0]).error
    assert "longer" in bad(next(read_lines(["ü" * (MAX_LINE // 2) + "a"]))).error
    assert read("ü" * (MAX_LINE // 2), "m.txt") == list(read_lines(["ü" * (MAX_LINE // 2)]))


@pytest.mark.parametrize("indent", [None, 2], ids=["one line", "many lines"])
def test_each_item_of_an_array_has_a_line_number_of_its_own(indent: int | None) -> None:
    items = [{"url": f"https://h.example/{name}.jpg"} for name in "abc"]
    rows = read(json.dumps(items, indent=indent), "m.json")
    assert [(row.line, row.url) for row in rows if isinstance(row, ManifestRow)] == [
        (n, item["url"]) for n, item in enumerate(items, 1)
    ]
