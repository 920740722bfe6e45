"""Every image of a complete run, compared with an independent computation: real command, origin and S3 server."""

import hashlib
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import pytest
from PIL import Image

from imgrelay_dagster.demo import manifests
from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.relay.staging.tasks import PER_URL_LIMIT
from tests.conftest import ROOT, Ran
from tests.support.expected_pictures import Difference, difference, framed
from tests.support.stored_files import Bucket, check_accounts, files, images, write_manifest

Command = Callable[..., Ran]
TEMPLATE = (ROOT / "imgrelay_dagster" / "templates" / "frame.png").read_bytes()
MEAN_TOLERANCE = 6.0
"""Allowed mean difference (of 255 levels) of a stored JPEG of quality 85, because of its chroma subsampling."""


def step_keys(home: Path, run_id: str) -> Counter[str]:
    """Return the number of distinct steps of each op in the run."""
    instance = dg.DagsterInstance.from_config(str(home))
    with instance:
        events = instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_SUCCESS)
    return Counter(key.partition("[")[0] for key in {event.step_key or "" for event in events})


def event_rows(home: Path, run_id: str) -> int:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        return len(instance.all_logs(run_id))


@pytest.fixture(scope="module")
def pictures(origin: Origin) -> dict[str, bytes]:
    """Every good demo picture by its URL, downloaded without imgrelay."""
    import urllib.request

    expected = manifests.expected(origin.manifest())
    good = [url for url, reason in expected.items() if reason is None]

    def fetch(url: str) -> bytes:
        for _ in range(4):
            try:
                with urllib.request.urlopen(url, timeout=10) as answer:
                    return answer.read()
            except urllib.error.HTTPError:
                continue
        raise AssertionError(url)

    return {url: fetch(url) for url in good}


@pytest.fixture(scope="module")
def checker(pictures: dict[str, bytes]) -> "ImageChecker":
    return ImageChecker({urlsplit(url).path: data for url, data in pictures.items()})


class ImageChecker:
    """Compares stored images with their expected look. Identical bytes of a picture are compared only once."""

    def __init__(self, sources: dict[str, bytes]) -> None:
        self._sources = sources
        self._known: dict[tuple[str, str], Difference] = {}

    def check(self, row: dict[str, Any], stored: bytes) -> None:
        """Check size, pixels, the absence of metadata, and the fields of the results."""
        path, sha256 = urlsplit(row["url"]).path, hashlib.sha256(stored).hexdigest()
        source = self._sources[path]
        assert (row["sha256"], row["bytes_out"], row["bytes_in"]) == (sha256, len(stored), len(source))
        with Image.open(io.BytesIO(stored)) as image:
            assert (image.format, image.size) == ("JPEG", (row["width"], row["height"])), path
            if (path, sha256) not in self._known:
                expected = framed(source, TEMPLATE)
                assert image.size == expected.size, path
                assert not image.getexif(), path
                assert "icc_profile" not in image.info, path
                self._known[path, sha256] = difference(image, expected)
        assert self._known[path, sha256].mean <= MEAN_TOLERANCE, path


@pytest.mark.parametrize("count", [1, 12, 200, 2_000])
def test_every_image_is_stored_in_s3(
    imgrelay: Command, origin: Origin, bucket: Bucket, home: Path, tmp_path: Path, checker: ImageChecker, count: int
):
    small = [origin.url(f"jpeg/small-dawn.jpg?{number}") for number in range(count)]
    manifest = write_manifest(tmp_path, small if count > 200 else origin.many(count))
    ran = imgrelay(
        "run", "--manifest", manifest, "--destination", f"s3://{bucket.name}", "--json", **bucket.environment
    )
    assert ran.code == 0, ran.err
    assert ran.summary["uploaded"] == count
    stored = bucket.objects()
    rows = check_accounts(stored, ran.summary, count)
    steps = step_keys(home, ran.summary["run_id"])
    if count <= PER_URL_LIMIT:
        assert (steps["download"], steps["compose"], steps["upload"]) == (count, count, count)
    else:
        assert steps["download"] == steps["compose"] == steps["upload"] <= 10  # tasks of 50 entries first, later more
        assert event_rows(home, ran.summary["run_id"]) < 2 * count
    for row in rows:
        checker.check(row, stored[row["key"]])
    assert len(images(stored)) == count
    assert bucket.content_type(rows[-1]["key"]) == "image/jpeg"
    assert not list((home / "staging").iterdir())


def test_every_kind_of_picture_looks_right_and_every_bad_url_has_its_reason(
    imgrelay: Command, origin: Origin, bucket: Bucket, tmp_path: Path, pictures: dict[str, bytes], checker: ImageChecker
):
    urls = origin.manifest()
    expected = manifests.expected(urls)
    bad = {url: reason for url, reason in expected.items() if reason is not None}
    assert len(pictures) >= 60
    assert len(bad) >= 8
    manifest = write_manifest(tmp_path, urls)
    options = ("--manifest", manifest, "--tolerated-failure-percentage", "50", "--json")
    ran = imgrelay("run", *options, "--destination", f"s3://{bucket.name}", **bucket.environment)
    assert ran.code == 0, ran.err
    stored = bucket.objects()
    rows = {row["url"]: row for row in check_accounts(stored, ran.summary, len(urls))}
    assert {url: rows[url]["reason"] for url in bad} == {url: reason.value for url, reason in bad.items()}
    assert ran.summary["reasons"] == dict(Counter(reason.value for reason in bad.values()).most_common())
    for url in pictures:
        checker.check(rows[url], stored[rows[url]["key"]])

    again = imgrelay("run", *options, "--destination", tmp_path / "out")
    assert again.code == 0, again.err
    assert images(files(tmp_path / "out")) == images(stored)
