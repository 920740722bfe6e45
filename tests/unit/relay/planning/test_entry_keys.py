"""Keys: patterns, extensions that contradict the format, and the limits of the destination."""

import pytest

from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.manifest.rows import ManifestRow
from imgrelay_dagster.relay.planning.entry_keys import EntryKeys
from imgrelay_dagster.relay.planning.key_pattern import KeyPattern, carried_columns
from imgrelay_dagster.relay.settings import Sample, Settings

URL = "https://Shop.example/a/b%20c/Red%20Shirt.PNG?size=1"
ROW = ManifestRow(7, URL, carried={"sku": "A/1 b", "title": "Größe", "count": "12"})


def key(pattern: str, row: ManifestRow = ROW, *, destination: str = "s3://images/p", **settings: object) -> str:
    given = Settings("birds", destination, key=pattern, **settings)  # type: ignore[arg-type]
    return EntryKeys(given, day="2026-11-29").key_of(row, "frame.png")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("{sku}/{line:05d}-{name}.{ext}", "A-1-b/00007-Red-Shirt.jpg"),
        ("{host}/{path}/{name:lower}.{ext}", "shop.example/a/b-c/red-shirt.jpg"),
        ("{dataset}/{day}/{template}-{name:.3}.{ext}", "birds/2026-11-29/frame-Red.jpg"),
        ("{title:upper}-{count:05d}.{ext}", "GRÖSSE-00012.jpg"),
        ("{hash}.{ext}", "ab8bef61a9622565.jpg"),
        ("{name}.png", "Red-Shirt.jpg"),
        ("{name}", "Red-Shirt"),
    ],
)
def test_keys_are_made_from_a_pattern(pattern: str, expected: str):
    assert key(pattern) == expected


def test_a_path_in_the_url_cannot_leave_the_prefix():
    row = ManifestRow(1, "https://h/../../..%2f/./x.jpg")
    assert key("{path}/{name}.{ext}", row, destination="/out") == "x.jpg"
    with pytest.raises(EntryFailure, match="below _relay"):
        key("{path}/{name}.{ext}", ManifestRow(1, "https://h/_relay/x.jpg"))


def test_a_key_of_the_manifest_wins_over_the_pattern():
    assert key("{name}.{ext}", ManifestRow(1, URL, key="own.jpg")) == "own.jpg"


def test_an_empty_column_fails_its_line():
    with pytest.raises(EntryFailure, match="column 'sku' is empty"):
        key("{sku}.{ext}", ManifestRow(1, URL, carried={"sku": " "}))
    with pytest.raises(EntryFailure, match="column 'sku' is empty"):
        key("{sku}.{ext}", ManifestRow(1, URL))


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{sku", "expected '}' before end of string"),
        ("{sku.x}", r"\{sku.x\} is not a name"),
        ("{sku!r}", "conversion"),
        ("{}", "is not a name"),
        ("{sku:>10}", "'>10' is not a form"),
        ("fixed.{ext}", "gives all entries the same key"),
        ("_relay/{name}.{ext}", "starts with '_relay'"),
        ("/{name}.{ext}", "starts with '/'"),
    ],
)
def test_a_pattern_that_cannot_work_is_refused(pattern: str, message: str):
    with pytest.raises(RelayError, match=message):
        KeyPattern(pattern, dataset="birds", extension="jpg")


def test_the_columns_of_a_pattern_are_carried_along():
    assert carried_columns({"key": "{sku}/{line}-{size}-{sku}.{ext}", "other": None}) == ("sku", "size")


@pytest.mark.parametrize(
    ("rule", "given", "expected"),
    [
        (None, "a.png", "a.png"),
        ("keep", "a.png", "a.png"),
        ("replace", "a.png", "a.jpg"),
        ("replace", "a.JPEG", "a.JPEG"),
        ("replace", "a.bin", "a.bin"),
        ("refuse", "a.jpe", "a.jpe"),
    ],
)
def test_an_extension_that_contradicts_the_format(rule: str | None, given: str, expected: str):
    keys = EntryKeys(Settings("birds", "/out", key_extension=rule))
    assert keys.key_of(ManifestRow(1, URL, key=given), "frame.png") == expected
    told: list[str] = []
    keys.report(told.append)
    assert bool(told) == (expected == "a.png")
    assert all("1 keys" in sentence and "'a.png'" in sentence for sentence in told)


def test_a_contradicting_extension_can_be_refused():
    keys = EntryKeys(Settings("birds", "/out", key_extension="refuse"))
    with pytest.raises(EntryFailure, match=r"key ends in '.png', but images are stored as .jpg"):
        keys.key_of(ManifestRow(1, URL, key="a.png"), "frame.png")


def segments(count: int) -> str:
    return "/".join("s" for _ in range(count))


@pytest.mark.parametrize(
    ("destination", "given", "problem"),
    [
        ("s3://images/" + "p" * 29, ("k" * 200 + "/") * 4 + "k" * 190, None),
        ("s3://images/" + "p" * 40, ("k" * 200 + "/") * 4 + "k" * 190, "have 1,035 bytes together"),
        ("gs://images/" + "ü" * 120, ("k" * 200 + "/") * 4 + "k", "have 1,046 bytes together"),
        ("az://images/" + "ü" * 120, ("k" * 200 + "/") * 4 + "k", None),
        ("az://images/p", segments(254), "has 255 parts between slashes"),
        ("az://images/p", "a./b.jpg", "ends in a dot"),
        ("s3://images", ".uploads/x.jpg", "SeaweedFS"),
        ("s3://images/p", ".uploads/x.jpg", None),
        ("s3://images/p", "a\ufffe.jpg", "U\\+FFFE"),
        ("az://images/p", "a\uffff.jpg", "U\\+FFFF"),
    ],
)
def test_keys_are_held_against_the_limits_of_the_store(destination: str, given: str, problem: str | None):
    keys = EntryKeys(Settings("birds", destination))
    row = ManifestRow(1, URL, key=given)
    if problem is None:
        assert keys.key_of(row, "frame.png") == given
    else:
        with pytest.raises(EntryFailure, match=problem):
            keys.key_of(row, "frame.png")


def test_keys_of_a_sample_replace_no_other_image():
    keys = EntryKeys(Settings("birds-sample", "out", sample=Sample(5)))
    assert keys.key_of(ManifestRow(1, URL, key="a.jpg"), "frame.png") == "birds-sample/a.jpg"
    with pytest.raises(EntryFailure):
        keys.key_of(ManifestRow(1, URL, key="_relay/a.jpg"), "frame.png")
