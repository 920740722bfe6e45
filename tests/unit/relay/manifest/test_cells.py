"""Cells that hold URLs: several in one cell, and URLs that other programs changed."""

import json

import pytest

from imgrelay_dagster.relay.manifest.cells import urls_in
from imgrelay_dagster.relay.manifest.row_maker import numbered_key
from imgrelay_dagster.relay.manifest.rows import InvalidValue

A, B = "http://h/a.jpg", "https://h/b.jpg?v=1"


@pytest.mark.parametrize(
    "cell", [f"{A}, {B}", f"{A}|{B}", f"{A};{B}", f"{A} {B}", f"{A},{B}", f"{A}\n{B}", f"{A},//h/b"]
)
def test_several_urls_are_refused_unless_they_are_to_be_split(cell: str) -> None:
    with pytest.raises(InvalidValue, match="the cell holds several URLs; set columns"):
        urls_in(cell, None)
    with pytest.raises(InvalidValue, match="several URLs that '#'"):
        urls_in(cell, "#")


@pytest.mark.parametrize(
    ("cell", "split"),
    [
        (f"{A}, {B}", ","),
        (f"{A}|{B}", "|"),
        (f" {A} ; {B};", ";"),
        (f"{A}\n{B}\r\n", "\n"),
        (f"{A} {B}", " "),
        ([A, B], ","),
    ],
)
def test_a_cell_is_split(cell: object, split: str) -> None:
    assert [url for url, _ in urls_in(cell, split)] == [A, B]


def test_a_separator_inside_a_url_is_kept() -> None:
    resized = "https://cdn/w_200,h_100/a.jpg"
    assert [url for url, _ in urls_in(f"{resized},{A}", ",")] == [resized, A]
    assert urls_in(resized, None) == [(resized, None)]
    assert [url for url, _ in urls_in(f"{A}, b.jpg", ",")] == [A, "b.jpg"]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("//h/a.jpg", "https://h/a.jpg"),
        ("<http://h/a.jpg>", A),
        ('"http://h/a.jpg"', A),
        ("'http://h/a.jpg'", A),
        ('"<//h/a.jpg>"', "https://h/a.jpg"),
        ("http://h/q?w=1&amp;h=2&amp;x=3", "http://h/q?w=1&h=2&x=3"),
    ],
)
def test_a_changed_url_is_mended_and_its_text_kept(text: str, url: str) -> None:
    assert urls_in(text, None) == [(url, text)]


@pytest.mark.parametrize("end", [",", ";", "|", ", ", " ;", ",,", "; ;"])
def test_separators_left_at_the_end_are_removed(end: str) -> None:
    assert urls_in(f"{A}{end}", None) == [(A, f"{A}{end}".strip())]
    assert urls_in(f'"{A}"{end}', None)[0][0] == A
    assert [url for url, _ in urls_in(f"{A}{end}\n{A}\n{end}", "\n")] == [A, A]
    for kept in (f"{B}{end}".strip(), f"s3://b/a.jpg{end}".strip()):
        assert urls_in(kept, None) == [(kept, None)]


@pytest.mark.parametrize("glue", ["", "::", "&", "\\"])
def test_a_url_glued_to_another_is_refused(glue: str) -> None:
    with pytest.raises(InvalidValue, match="the cell holds several URLs; set columns"):
        urls_in(f"{A}{glue}{B}", None)
    with pytest.raises(InvalidValue, match="several URLs that '#'"):
        urls_in(f"{A}{glue}{B}", "#")
    if glue:
        assert [url for url, _ in urls_in(f"{A}{glue}{B}", glue)] == [A, B]


@pytest.mark.parametrize(
    "url",
    [
        "https://web.archive.org/web/2020im_/http://h/a.jpg",
        "http://proxy/a.jpg/https://h/b.jpg",
        "http://proxy/fit=a.png,url=https://h/b.jpg",
        "http://proxy/?url=a.jpg&http://h/b.jpg",
        "http://h/a.jpg#http://h/b.jpg",
    ],
)
def test_a_url_inside_a_url_is_kept(url: str) -> None:
    assert urls_in(url, None) == [(url, None)]


@pytest.mark.parametrize(
    "url",
    [A, B, "http://h/q?w=1&h=2&amp;x=3", "http://h/a.jpg?u=http://i/b", "http://h/http://i/b.jpg", "h/a b.jpg", '"a'],
)
def test_other_texts_are_kept(url: str) -> None:
    assert urls_in(url, None) == [(url, None)]


def test_objects_hold_the_url_under_a_well_known_name() -> None:
    assert urls_in([{"id": 1, "src": A}, {"id": 2, "src": B}], ",") == [(A, None), (B, None)]
    assert urls_in({"src": A}, None) == [(A, None)]
    with pytest.raises(InvalidValue, match="not an object"):
        urls_in({"id": 1}, None)


@pytest.mark.parametrize("name", ["src", "url", "href", "image", "contentUrl"])
def test_json_objects_that_were_written_as_text_are_objects(name: str) -> None:
    for split in (",", "|"):
        assert urls_in(json.dumps([{"id": 1, name: A}, {name: B, "alt": None}]), split) == [(A, None), (B, None)]
    for cell in (json.dumps({name: A}), f' [ {{"{name}" : "{A}"}} ] ', json.dumps({"x": "//h/c", name: A}, indent=1)):
        assert urls_in(cell, None) == [(A, None)]
    with pytest.raises(InvalidValue, match=r"the cell holds 2 URLs; set columns\.split"):
        urls_in(json.dumps([{name: A}, {name: B}]), None)


def test_slashes_that_php_escapes_are_slashes() -> None:
    a, b = (json.dumps(url).replace("/", r"\/") for url in (A, B))
    assert urls_in(f'[{{"src":{a}}},{{"src":{b}}}]', ",") == [(A, None), (B, None)]
    assert urls_in(f"[{a},{b}]", ",") == [(A, None), (B, None)]


def test_of_several_fields_of_an_object_the_best_one_counts() -> None:
    assert urls_in({"@type": "ImageObject", "url": "http://h/page", "contentUrl": A}, None) == [(A, None)]
    assert urls_in({"href": "http://h/page", "src": A}, None) == [(A, None)]
    assert urls_in({"src": None, "url": A, "image": A}, None) == [(A, None)]
    assert urls_in({"image": {"@type": "ImageObject", "url": A}}, None) == [(A, None)]
    with pytest.raises(InvalidValue, match="several well-known fields"):
        urls_in({"src": A, "url": B}, None)


@pytest.mark.parametrize(
    ("cell", "error"),
    [
        ('[{"id": "secret"}]', "an object without one well-known field"),
        ('[{"original": {"url": "http://secret"}}]', "an object without one well-known field"),
        ('{"src": ""}', "url is missing or empty"),
        ('{"src": 1.5}', "url must be text, not float"),
        (f'[{{"src": "{A}"}}, {{"src": "http://secr', "begins like JSON, but is not valid JSON"),
        (f"[{{'src': '{A}'}}]", "texts need double quotes"),
        (f'{{"src": {"[" * 5_000}"{A}"{"]" * 5_000}}}', "nested too deep|not valid JSON"),
    ],
)
def test_json_without_a_url_is_refused(cell: str, error: str) -> None:
    with pytest.raises(InvalidValue, match=error) as caught:
        urls_in(cell, ",")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["{}", "[1]", "{a}.jpg", "[1] a.jpg", '["a.jpg"].jpg', '["a", 1]'])
def test_a_text_with_brackets_is_no_json(text: str) -> None:
    assert urls_in(text, None) == [(text, None)]


def test_keys_of_one_line_are_numbered() -> None:
    names = ("a/b.jpg", "b", ".b", "a.b/c", "x.tar.gz")
    assert [numbered_key(name, 2) for name in names] == ["a/b-2.jpg", "b-2", ".b-2", "a.b/c-2", "x.tar-2.gz"]


@pytest.mark.parametrize("text", [f"['{A}', '{B}']", f'["{A}","{B}"]', f"[{A}, {B}]", f" [ '{A}' , '{B}' ] "])
def test_lists_that_were_written_as_text_are_lists(text: str) -> None:
    for split in (",", "|"):
        assert [url for url, _ in urls_in(text, split)] == [A, B]
    with pytest.raises(InvalidValue, match=r"the cell holds 2 URLs; set columns\.split to make an entry of each"):
        urls_in(text, None)


def test_a_list_of_one_url_needs_no_split() -> None:
    assert urls_in(f"['{A}']", None) == [(A, f"'{A}'")]
    assert urls_in("[]", ",")[0][0] == "[]"
