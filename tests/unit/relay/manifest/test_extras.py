"""The optional columns: what an image must be, and its mirrors."""

import json

import pytest

from imgrelay_dagster.relay.manifest.options import Columns, ReadOptions
from imgrelay_dagster.relay.manifest.reader import read_manifest
from imgrelay_dagster.relay.manifest.rows import ManifestRow, Row
from tests.support.manifests import ChunkedStream, bad, read

A, B, C = "http://h/a.jpg", "http://h/b.jpg", "//h/c.jpg"
SHA = "ab" * 32


def good(row: Row) -> ManifestRow:
    assert isinstance(row, ManifestRow), row
    return row


def test_checksums_and_sizes_are_read() -> None:
    rows = read(f"url,SHA256,md5,size\n{A},{SHA.upper()},,123456\n{A},,,38\n{A},,,XL\n{A},x,,\n", "m.csv")
    assert [good(row).expected for row in rows[:3]] == [{"sha256": SHA, "size": "123456"}, {}, {}]
    assert bad(rows[3]).error == "sha256 must be 64 hexadecimal digits"
    assert bad(rows[3]).text == A


def test_a_named_column_of_sizes_is_always_one() -> None:
    options = ReadOptions(Columns(size="bytes"))
    stream = ChunkedStream(f"url,bytes\n{A},38\n{A},XL\n".encode(), 100)
    first, second = read_manifest(stream, "m.csv", options)  # type: ignore[arg-type]
    assert good(first).expected == {"size": "38"}
    assert bad(second).error == "size must be a number of bytes"


@pytest.mark.parametrize("cell", [f"{B} {C}", f"{B}, {C}", f"{B}|{C}", f"{B};{C}", f"{B}\n{C}"])
def test_a_cell_may_hold_several_mirrors(cell: str) -> None:
    assert good(read(f'url,fallback_url\n{A},"{cell}"\n', "m.csv")[0]).fallback_urls == (B, "https:" + C)


def test_mirrors_may_stand_in_several_columns_or_a_list() -> None:
    rows = read(f"fallback_url_2,url,fallback_url\n{C},{A},{B}\n,{A},\n", "m.csv")
    assert [good(row).fallback_urls for row in rows] == [(B, "https:" + C), ()]
    assert good(read(json.dumps({"url": A, "fallback_url": [B, B]}), "m.jsonl")[0]).fallback_urls == (B, B)
