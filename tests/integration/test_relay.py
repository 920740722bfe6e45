"""Complete runs: the real command and executor, a real origin and a real S3 server."""

import gzip
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
from tests.support.stored_files import Bucket, check_accounts, files, images, results, write_manifest

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
        assert steps["download"] == steps["compose"] == steps["upload"] <= max(4, count // 500 + 1)
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


def test_a_second_run_only_does_what_is_not_done(imgrelay: Command, origin: Origin, tmp_path: Path):
    urls = [*origin.many(40), origin.url("/bad/gone.jpg"), "http://no-such-host.invalid/x.jpg"]
    manifest = write_manifest(tmp_path, urls)
    options = ("run", "--manifest", manifest, "--destination", tmp_path / "out", "--json")
    first = imgrelay(*options)
    assert first.code == 0, first.err
    before = Counter(origin.hits)
    second = imgrelay(*options)
    assert (second.code, second.summary["unchanged"], second.summary["uploaded"]) == (0, 40, 0)
    assert second.summary["reasons"] == first.summary["reasons"]
    assert Counter(origin.hits) == before
    check_accounts(files(tmp_path / "out"), second.summary, 42)
    third = imgrelay(*options, "--refresh")
    assert (third.summary["uploaded"], third.summary["unchanged"]) == (40, 0)


def test_failed_jsonl_is_a_valid_manifest(imgrelay: Command, origin: Origin, tmp_path: Path):
    manifest = write_manifest(tmp_path, [*origin.many(3), "http://no-such-host.invalid/x.jpg"])
    out = tmp_path / "out"
    first = imgrelay("run", "--manifest", manifest, "--destination", out, "--json")
    assert (first.code, first.summary["status"], first.summary["failed"]) == (1, "failure", 1)
    assert "1 of 4 entries failed (25.0 %), more than the tolerated 5 %" in first.err
    failed = out / "_relay" / "birds" / "runs" / first.summary["run_id"] / "failed.jsonl"
    second = imgrelay("run", "--manifest", failed, "--destination", out, "--json")
    assert (second.summary["dataset"], second.summary["entries"]) == ("birds", 1)
    assert second.summary["reasons"] == {"dns_error": 1}


def test_unusual_urls_and_manifest_bytes(imgrelay: Command, origin: Origin, tmp_path: Path):
    good = "jpeg/dawn.jpg"
    urls = [
        origin.url(f"{good}?a=1"),
        origin.url(f"{good}?a%3D1"),
        origin.url(f"{good}?q=" + "x" * 3_000),
        origin.url(f"{good}?name=köln/ü b.jpg"),
        origin.url(f"png/../{good}"),
        origin.url("/"),
        origin.url(f"{good}?a=1"),
    ]
    manifest = tmp_path / "birds.txt"
    manifest.write_bytes(b"\xef\xbb\xbf# birds\r\n\r\n" + "\r\n".join(urls).encode() + b"\r\n")
    out = tmp_path / "out"
    ran = imgrelay(
        "run", "--manifest", manifest, "--destination", out, "--json", "--tolerated-failure-percentage", "50"
    )
    assert ran.code == 0, ran.err
    rows = results(files(out), ran.summary)
    assert [row["line"] for row in rows] == [3, 4, 5, 6, 7, 8, 9]
    assert [row["outcome"] for row in rows] == ["uploaded"] * 4 + [rows[4]["outcome"], "failed", "uploaded"]
    keys = [row["key"] for row in rows]
    assert len(set(keys[:6])) == 6
    assert keys[0] == keys[6]
    assert all(len(key.encode()) <= 200 and ".." not in key for key in keys)
    assert set(images(files(out))) == {row["key"] for row in rows if row["outcome"] == "uploaded"}


def test_a_manifest_of_100_000_lines_is_accounted_for_completely(imgrelay: Command, origin: Origin, tmp_path: Path):
    """A gzipped manifest with BOM and CRLF, as spreadsheets on Windows write it. It has each URL 5,000 times."""
    small = [origin.url(f"jpeg/small-dawn.jpg?{number}") for number in range(20)]
    manifest, out = tmp_path / "birds.txt.gz", tmp_path / "out"
    lines = "".join(f"{small[number % 20]}\r\n" for number in range(100_000))
    manifest.write_bytes(gzip.compress(b"\xef\xbb\xbf" + lines.encode(), 1))
    before = origin.hits.total()
    ran = imgrelay("run", "--manifest", manifest, "--destination", out, "--urls-per-task", "20", "--json")
    assert ran.code == 0, ran.err
    assert (ran.summary["uploaded"], origin.hits.total() - before) == (100_000, 20)
    stored = files(out)
    rows = check_accounts(stored, ran.summary, 100_000)
    assert len(images(stored)) == 20
    assert ran.summary["bytes_out"] == sum(map(len, images(stored).values()))
    assert [rows[number]["url"] for number in (0, 21, 99_999)] == [small[0], small[1], small[19]]


def test_keys_and_templates_of_the_manifest_are_used(imgrelay: Command, origin: Origin, tmp_path: Path):
    """The run also has a template from another folder. Paths may contain a colon."""
    manifest = tmp_path / "birds 10:00.csv"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "own.png").write_bytes(TEMPLATE)
    manifest.write_text(
        "url,key,template\n"
        f"{origin.url('jpeg/dawn.jpg')},own/a b/ü.jpg,badge.png\n"
        f"{origin.url('jpeg/dawn.jpg')}?2,../evil.jpg,\n"
        f"{origin.url('jpeg/dawn.jpg')}?3,own/a b/ü.jpg,\n"
    )
    out = tmp_path / "out:2"
    options = ("--template", tmp_path / "mine" / "own.png", "--json", "--tolerated-failure-percentage", "70")
    ran = imgrelay("run", "--manifest", manifest, "--destination", out, *options)
    assert ran.code == 0, ran.err
    assert ran.summary["reasons"] == {"invalid_entry": 1, "key_conflict": 1}
    assert set(images(files(out))) == {"own/a b/ü.jpg"}
    assert not (tmp_path / "evil.jpg").exists()
