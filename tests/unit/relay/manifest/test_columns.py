"""Columns of a table: which one holds the URLs, and which are carried along."""

import pytest

from imgrelay_dagster.relay.manifest.columns import UnknownColumns, map_columns
from imgrelay_dagster.relay.manifest.options import Columns, ReadOptions


@pytest.mark.parametrize(
    "name",
    ["url", "URL", "image_link", "Image Src", "Image-URL", "imageUrl", "images", "SRC", " Image ", "main image url"],
)
def test_well_known_names_are_found(name: str) -> None:
    found = map_columns(["id", "link", name, "Key"], ReadOptions())
    assert (found.fields[:3], found.url_name) == ((2, 3, None), name)


def test_a_given_name_wins() -> None:
    columns = Columns(url="picture", key="SKU no")
    assert map_columns(["url", "Picture", "picture", "sku_no"], ReadOptions(columns)).fields[:3] == (2, 3, None)


@pytest.mark.parametrize(
    ("names", "columns", "error"),
    [
        (["sku", "link"], Columns(), "has no column 'url' or another well-known name; its columns are 'sku', 'link'"),
        (["url", "Image"], Columns(), "2 columns that may hold image URLs: 'url', 'Image'; choose one"),
        (["sku", "url"], Columns(url="pic"), "no column 'pic', which columns.url names; its columns are 'sku', 'url'"),
        (["url", "a", "A"], Columns(key="a "), None),
        (["url", "key", "Key"], Columns(), "has 2 columns 'key'; keep one"),
    ],
)
def test_columns_that_are_not_clear_are_refused(names: list[str], columns: Columns, error: str | None) -> None:
    if error is None:
        assert map_columns(names, ReadOptions(columns)).fields[1] == 1
        return
    with pytest.raises(UnknownColumns) as refused:
        map_columns(names, ReadOptions(columns))
    assert error in str(refused.value)


def test_carried_columns() -> None:
    names = ["SKU", "url", "key", "Title", "", "Title"]
    assert map_columns(names, ReadOptions(carry=("sku", "Title"))).carried == (("sku", 0), ("Title", 3))
    every = map_columns(names, ReadOptions(carry=("all",))).carried
    assert every == (("SKU", 0), ("Title", 3), ("column_5", 4), ("Title_6", 5))
    with pytest.raises(UnknownColumns, match="no column 'price', which carry names; its columns are 'SKU'"):
        map_columns(names, ReadOptions(carry=("price",)))
