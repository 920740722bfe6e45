"""Rows: which characters are allowed in a value."""

import pytest

from imgrelay_dagster.relay.manifest.rows import InvalidValue, ManifestRow, clean_value
from tests.support.manifests import bad, read


@pytest.mark.parametrize("character", ["\x00", "\t", "\x1f", "\x7f", "\x85", "\u2028"])
def test_control_characters_make_a_bad_row(character: str) -> None:
    before, row, after = read(f"http://h/1\nhttp://h/{character}2\nhttp://h/3", "m.txt")
    assert (before, after) == (ManifestRow(1, "http://h/1"), ManifestRow(3, "http://h/3"))
    assert bad(row).line == 2
    assert "url holds" in bad(row).error
    assert bad(row).text == "http://h/\ufffd2"


def test_whole_numbers_are_text() -> None:
    values = (1001, 1001.0, -2.0, 2.0**53 - 1)
    assert [clean_value("key", value) for value in values] == ["1001", "1001", "-2", "9007199254740991"]


@pytest.mark.parametrize("value", [1001.5, float("nan"), float("inf"), 2.0**53, True])
def test_other_numbers_are_invalid(value: object) -> None:
    with pytest.raises(InvalidValue, match="key must be text, not"):
        clean_value("key", value)


def test_keys_of_a_column_with_gaps_are_whole_numbers() -> None:
    text = '{"url": "http://h/1", "key": 1001.0}\n{"url": "http://h/2", "key": null}'
    assert read(text, "m.jsonl") == [
        ManifestRow(1, "http://h/1", "1001"),
        ManifestRow(2, "http://h/2"),
    ]
