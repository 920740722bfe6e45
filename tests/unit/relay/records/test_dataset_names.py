"""Dataset names: derived from the address of a manifest, and their validation."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.records.dataset_names import check_dataset, dataset_name, sample_dataset


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
def test_dataset_name_is_derived_from_the_file_name(address: str, name: str) -> None:
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
def test_valid_dataset_names_pass(name: str) -> None:
    assert check_dataset(name) is None


@pytest.mark.parametrize("name", ["", ".", "..", ".a", "a/b", "../a", "a\\b", "a b", "a\n", "ä", "a#1", "x" * 101])
def test_invalid_dataset_names_are_refused(name: str) -> None:
    with pytest.raises(RelayError, match="is not a valid name; use 1 to 100"):
        check_dataset(name)


@pytest.mark.parametrize("name", ["birds", "x" * 100])
def test_dataset_of_samples_has_a_valid_name(name: str) -> None:
    assert check_dataset(sample_dataset(name)) is None
    assert sample_dataset(name).endswith("-sample")
