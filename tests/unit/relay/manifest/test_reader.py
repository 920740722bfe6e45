"""Formats of manifests: text and JSON lines, selected by the suffix; any bytes give rows or an error."""

import contextlib
import gzip
import io
import json
import re
from typing import BinaryIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.lines import MAX_LINE
from imgrelay_dagster.relay.manifest.reader import read_lines, read_manifest
from imgrelay_dagster.relay.manifest.rows import ManifestRow, Row
from tests.support.manifests import FILES, ChunkedStream, bad, read

fields = st.text(alphabet=st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)


def test_text_has_one_url_per_line() -> None:
    rows = read("# list\n\nhttp://h/1.jpg\n  \n\t http://h/2.jpg#top \t\n#http://h/3.jpg\nhttp://h/a b.jpg", "m.txt")
    assert rows == [
        ManifestRow(3, "http://h/1.jpg"),
        ManifestRow(5, "http://h/2.jpg#top"),
        ManifestRow(7, "http://h/a b.jpg"),
    ]


def test_read_lines_follows_the_rules_of_text_manifests() -> None:
    given_urls = ["http://h/1", "", " # no", "http://h/4 ", "http://h/\n5", "x" * (MAX_LINE + 1), "\ud800"]
    rows = list(read_lines(given_urls))
    assert rows[:2] == [ManifestRow(1, "http://h/1"), ManifestRow(4, "http://h/4")]
    assert [bad(row).line for row in rows[2:]] == [5, 6, 7]
    for row, error in zip(rows[2:], ("line break", "longer", "unpaired surrogate"), strict=True):
        assert error in bad(row).error


def test_read_lines_is_lazy() -> None:
    rows = read_lines(f"http://h/{n}" for n in iter(int, 1))
    assert [next(rows).line for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("name", ["m.jsonl", "m.ndjson"])
def test_json_lines_are_objects_or_strings(name: str) -> None:
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
    ("line", "error"),
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
        ('{"name": "secret"}', "url is missing"),
        ('{"url": ""}', "url is missing"),
        ('""', "url is missing"),
        ('{"url": null}', "url is missing"),
        ('{"url": ["secret", "secret"]}', "the cell holds 2 URLs; set columns.split"),
        ('{"url": {"secret": 1}}', "not an object without one well-known field"),
        ('{"url": "http://h/1, http://secret"}', "the cell holds several URLs; set columns.split"),
        ('{"url": 1.5}', "url must be text, not float"),
        ('{"url": "a", "template": false}', "template must be text, not bool"),
        ('{"url": "a\\nsecret"}', "line break"),
        ('{"url": "a\\u0000secret"}', "U+0000"),
        ('{"url": "a", "key": "\\ud800"}', "key holds an unpaired surrogate"),
    ],
)
def test_malformed_json_line_becomes_a_bad_row(line: str, error: str) -> None:
    row, after = read(f'{line}\n"http://h/2"', "m.jsonl")
    assert after == ManifestRow(2, "http://h/2")
    assert bad(row).line == 1
    assert error in bad(row).error
    assert "secret" not in bad(row).error
    assert bad(row).text in line
    assert bad(row).text == "a" or len(bad(row).text) == min(len(line), 200)


@pytest.mark.parametrize("name", ["m.txt", "m.csv", "m.jsonl", "m.ndjson", "s3://b/p/M.2024.TXT"])
@pytest.mark.parametrize("content", ["", "\n", "\ufeff", "\r\n \r\n"])
def test_empty_manifest_has_no_rows(name: str, content: str) -> None:
    assert read(content, name) == []
    assert read(gzip.compress(content.encode()), name + ".gz") == []


@pytest.mark.parametrize("name", ["m", "m.gz", "m.xlsx.gz", "m.txt.zip", "txt", "s3://b.txt/m", "m.xls"])
def test_unknown_suffix_is_refused_immediately(name: str) -> None:
    with pytest.raises(RelayError, match=r"(known are|let its name end in) \.txt") as caught:
        read_manifest(io.BytesIO(b"http://h"), name)
    assert repr(name) in str(caught.value)
    assert ".ndjson" in str(caught.value)


def test_rows_before_an_error_are_yielded() -> None:
    rows = read_manifest(io.BytesIO(b"http://h/1\n\xff\n"), "m.txt")
    assert next(rows) == ManifestRow(1, "http://h/1")
    with pytest.raises(RelayError):
        next(rows)


fragments = st.lists(
    st.sampled_from(['"', ",", "\n", "\r", "\r\n", "url", "http://h/ä", " ", "#", "{", '"url":', "}", "\x00"])
)


@given(fragments.map("".join), st.integers(1, 9), st.sampled_from(list(FILES)))
@example('url\n"', 1, "m.csv")
def test_rows_do_not_depend_on_the_chunks_of_the_stream(text: str, step: int, name: str) -> None:
    content = ("url,x\n" if name == "m.csv" else "") + text
    stream: BinaryIO = ChunkedStream(content.encode(), step)  # type: ignore[assignment]
    try:
        rows = read(content, name)
    except RelayError as error:
        with pytest.raises(RelayError, match=re.escape(str(error))):
            list(read_manifest(stream, name))
        return
    assert list(read_manifest(stream, name)) == rows
    numbers = [row.line for row in rows]
    assert numbers == sorted(set(numbers))


@given(st.binary(), st.sampled_from([*FILES, *(name + ".gz" for name in FILES)]))
def test_any_bytes_give_rows_or_a_relay_error(content: bytes, name: str) -> None:
    rows: list[Row] = []
    with contextlib.suppress(RelayError):
        rows = read(content, name)
    for row in rows:
        (row.url if isinstance(row, ManifestRow) else row.text + row.error).encode()
        assert row.url.strip() if isinstance(row, ManifestRow) else row.error


@given(st.lists(st.tuples(fields, fields, st.text())))
def test_output_of_the_json_module_is_read_back(table: list[tuple[str, str, str]]) -> None:
    text = "\n".join(json.dumps({"url": url, "key": key, "x": x}) for url, key, x in table)
    assert read(text, "m.jsonl") == [ManifestRow(n, url, key) for n, (url, key, _) in enumerate(table, 1)]
