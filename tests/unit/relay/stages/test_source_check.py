"""Checks of downloaded images against the manifest, and mirrors."""

import hashlib
from collections.abc import Mapping

import pytest

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.fetch.downloader import FetchResult
from imgrelay_dagster.relay.outcomes import EarlierImage, Outcome, Reason, Record
from imgrelay_dagster.relay.stages.mirrors import fetch_record
from imgrelay_dagster.relay.stages.source_check import source_digest

BODY = b"image"
SHA256, MD5 = hashlib.sha256(BODY).hexdigest(), hashlib.md5(BODY).hexdigest()
OTHER = "0" * 64


@pytest.mark.parametrize("expected", [{}, {"sha256": SHA256}, {"md5": MD5, "size": "5"}])
def test_the_expected_image_is_accepted(expected: dict[str, str]) -> None:
    assert source_digest(BODY, expected, frozenset({OTHER})) == SHA256


@pytest.mark.parametrize(
    ("expected", "detail"),
    [
        ({"sha256": OTHER}, f"expects SHA-256 {OTHER}, the server sent {SHA256}"),
        ({"md5": OTHER[:32]}, f"the server sent {MD5}"),
        ({"size": "1234"}, "expects size 1,234 bytes, the server sent 5"),
    ],
)
def test_another_image_is_a_mismatch(expected: dict[str, str], detail: str) -> None:
    with pytest.raises(EntryFailure) as failed:
        source_digest(BODY, expected, frozenset())
    assert failed.value.reason is Reason.CHECKSUM_MISMATCH
    assert detail in failed.value.detail


def test_a_rejected_image_fails() -> None:
    with pytest.raises(EntryFailure) as failed:
        source_digest(BODY, {}, frozenset({SHA256}))
    assert failed.value.reason is Reason.REJECTED_SOURCE


def fetch(url: str, validators: Mapping[str, str]) -> FetchResult:
    if validators:
        return FetchResult(0, 1, 304, 0.1, validators, unchanged=True)
    if "good" in url:
        return FetchResult(7, 1, 200, 0.1)
    raise EntryFailure(Reason.HTTP_STATUS, f"{url} answers 404", http_status=404, attempts=2)


def test_mirrors_are_tried_in_order() -> None:
    record = Record(1, "bad", fallback_urls=("bad2", "good", "good2"))
    fetched, _ = fetch_record(record, fetch)
    assert (fetched.served_url, fetched.attempts, fetched.bytes_in, fetched.http_status) == ("good", 5, 7, 200)
    assert fetch_record(Record(1, "good", fallback_urls=("bad",)), fetch)[0].served_url is None


def test_the_first_failure_is_reported_when_no_mirror_serves_the_image() -> None:
    with pytest.raises(EntryFailure, match="bad answers 404; its 2 mirrors failed too") as failed:
        fetch_record(Record(1, "bad", fallback_urls=("bad2", "bad3")), fetch)
    assert failed.value.attempts == 6


def test_validators_are_sent_only_to_the_url_that_they_are_of() -> None:
    image = EarlierImage("5a", "mirror", {"etag": "x"}, 1, 7, 9, 3, 2, "bc")
    record = Record(1, "bad", fallback_urls=("mirror",), earlier=image)
    kept, fetched = fetch_record(record, fetch)
    assert (kept.outcome, kept.served_url, kept.http_status, kept.attempts) == (Outcome.UNCHANGED, "mirror", 304, 3)
    assert (kept.bytes_in, kept.sha256, kept.validators, fetched.unchanged) == (0, "bc", {"etag": "x"}, True)
    changed, _ = fetch_record(Record(1, "good", fallback_urls=("mirror",), earlier=image), fetch)
    assert (changed.outcome, changed.served_url, changed.bytes_in, changed.validators) == (None, None, 7, {})
