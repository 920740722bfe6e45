"""Which originals in stores and folders a run may read."""

from pathlib import Path

import pytest

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.storage.source_access import ANYTHING, check_source


def refusal(url: str, *allowed: str) -> tuple[Reason, str] | None:
    try:
        check_source(url, allowed)
    except EntryFailure as failure:
        return failure.reason, failure.detail
    return None


@pytest.mark.parametrize("url", ["s3://b/a.jpg", "gs://b/p/a#b?c.jpg", "az://b/ü.jpg", "http://h/a.jpg"])
def test_everything_is_allowed_to_the_command_line(url: str) -> None:
    assert refusal(url, ANYTHING) is None


def test_a_listed_prefix_allows_what_is_below_it() -> None:
    allowed = ("s3://bucket/pictures", "gs://other/")
    assert refusal("s3://bucket/pictures/a.jpg", *allowed) is None
    assert refusal("gs://other/x/a.jpg", *allowed) is None
    for url in ("s3://bucket/pictures2/a.jpg", "s3://bucket/a.jpg", "gs://another/a.jpg", "az://other/a.jpg"):
        found = refusal(url, *allowed)
        assert found is not None
        assert found[0] is Reason.ACCESS_DENIED
        assert "IMGRELAY_ORIGINALS" in found[1]


@pytest.mark.parametrize(
    "url", ["s3://b", "s3://b/", "s3:///k", "s3://b/x/../a.jpg", "s3://b//a.jpg", "s3://b/./a.jpg"]
)
def test_keys_that_lead_elsewhere_are_refused(url: str) -> None:
    found = refusal(url, ANYTHING, "s3://b")
    assert found is not None
    assert found[0] is Reason.BAD_URL


def test_local_files_must_lie_inside_a_listed_folder(tmp_path: Path) -> None:
    folder, secret = tmp_path / "pictures", tmp_path / "secret.jpg"
    folder.mkdir()
    secret.touch()
    (folder / "link.jpg").symlink_to(secret)
    assert refusal(f"{folder}/a.jpg", str(folder)) is None
    assert refusal(f"file://{folder}/a.jpg", f"{folder}/") is None
    for path in (secret, f"{folder}/../secret.jpg", f"{folder}/link.jpg", "/etc/passwd", f"{folder}2/a.jpg"):
        found = refusal(str(path), str(folder))
        assert found is not None
        assert found[0] is Reason.ACCESS_DENIED


def test_without_any_originals_a_local_path_is_an_invalid_url() -> None:
    for url in ("/images/a.jpg", "file:///etc/passwd"):
        found = refusal(url)
        assert found is not None
        assert found[0] is Reason.BAD_URL
