"""Rows: which characters are allowed in a value."""

import pytest

from imgrelay_dagster.relay.manifest.rows import ManifestRow
from tests.support.manifests import bad, read


@pytest.mark.parametrize("character", ["\x00", "\t", "\x1f", "\x7f", "\x85", "\u2028"])
def test_control_characters_make_a_bad_row(character: str) -> None:
    before, row, after = read(f"http://h/1\nhttp://h/{character}2\nhttp://h/3", "m.txt")
    assert (before, after) == (ManifestRow(1, "http://h/1"), ManifestRow(3, "http://h/3"))
    assert bad(row).line == 2
    assert "url holds" in bad(row).error
    assert bad(row).text == "http://h/\ufffd2"
