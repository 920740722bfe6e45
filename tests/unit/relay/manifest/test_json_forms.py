"""Forms of JSON manifests: the content tells whether it holds lines, objects over several lines, or one array."""

import json

import pytest

from imgrelay_dagster.relay.manifest.rows import ManifestRow, Row
from tests.support.manifests import bad, error_of, read

NAMES = ("m.json", "m.jsonl", "m.ndjson")
ITEMS = [{"key": f"{n}.jpg", "url": f"http://h/{n}", "tags": ["x" * (n % 37)] * 2} for n in range(1, 1500)]
"""More than the bytes by which the form is decided."""


def _rows(count: int) -> list[Row]:
    return [ManifestRow(n, f"http://h/{n}", f"{n}.jpg") for n in range(1, count + 1)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [1, 2, len(ITEMS) - 1])
def test_pretty_printed_json_is_read_under_any_name(name: str, count: int) -> None:
    items = ITEMS[:count]
    pretty = [json.dumps(item, indent=2) for item in items]
    forms = (json.dumps(items, indent=2), "\n".join(pretty), "\ufeff\r\n" + ",\r\n".join(pretty) + "\r\n")
    for text in (*forms, json.dumps({"products": items}, indent=4)):
        assert read(text, name) == _rows(count)


@pytest.mark.parametrize("name", NAMES)
def test_objects_in_lines_are_read_under_any_name(name: str) -> None:
    lines = list(map(json.dumps, ITEMS))
    for text in ("\n".join(lines), ",\n".join(lines), ", \r\n".join(lines) + ","):
        assert read(text, name) == _rows(len(ITEMS))


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("name", NAMES)
def test_objects_that_begin_with_a_list_are_all_read(name: str, indent: int | None) -> None:
    """Their first field was taken for the array that holds the whole list."""
    text = "\n".join(json.dumps({"images": [f"http://h/{n}"], "sku": n}, indent=indent) for n in (1, 2, 3))
    assert read(text, name) == [ManifestRow(n, f"http://h/{n}") for n in (1, 2, 3)]


@pytest.mark.parametrize(
    "first", ['{"url": "http://h/secret"', '{"products": [1,', '{"url": "http://secret', '{"url":']
)
def test_a_first_line_that_is_cut_off_costs_only_itself(first: str) -> None:
    for rest in (ITEMS[:1], ITEMS):
        row, *others = read("\n".join([first, *map(json.dumps, rest)]), "m.jsonl")
        assert (bad(row).line, bad(row).text) == (1, first)
        assert [other.line for other in others] == list(range(2, len(rest) + 2))
        assert all(isinstance(other, ManifestRow) for other in others)


def test_a_broken_object_among_others_fails_alone() -> None:
    pretty = [json.dumps(item, indent=2) for item in ITEMS[:4]]
    pretty[2] = pretty[2].replace(",", "", 1)
    rows = read("\n".join(pretty), "m.jsonl")
    assert bad(rows.pop(2)).error.startswith("broken JSON")
    assert rows == [row for row in _rows(4) if row.line != 3]


def test_a_broken_first_object_is_named_by_its_line() -> None:
    message = error_of('\n{\n "url": "http://h/secret"\n "key": "a"\n}\n', "m.json")
    assert "line 4: broken JSON: Expecting ',' delimiter at character 2; it must hold an array of objects" in message
    assert "secret" not in message


@pytest.mark.parametrize("name", NAMES)
def test_one_object_that_holds_its_list_behind_another_field_is_refused(name: str) -> None:
    message = error_of(json.dumps({"count": 1, "products": ITEMS[:1]}, indent=2), name)
    assert "holds one object; it must hold an array of objects or of strings, or an object in each line" in message
    assert "its columns are 'count', 'products'" in message


def test_nesting_that_is_too_deep_does_not_decide_the_form() -> None:
    first, second, third = read('{"url":\n' + "[" * 5000 + '\n"http://h/3"', "m.jsonl")
    assert (bad(first).line, bad(second).line, third) == (1, 2, ManifestRow(3, "http://h/3"))
