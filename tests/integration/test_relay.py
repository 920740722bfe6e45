"""Complete runs: the real command and executor, a real origin and a real S3 server."""

import gzip
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from imgrelay_dagster.demo.origin import Origin
from tests.conftest import ROOT, Ran
from tests.support.stored_files import check_accounts, files, images, results, write_manifest

Command = Callable[..., Ran]
TEMPLATE = (ROOT / "imgrelay_dagster" / "templates" / "frame.png").read_bytes()


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
