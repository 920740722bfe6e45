"""Asking again for what was done: conditional requests to a real server and to a real store."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from imgrelay_dagster.demo.pictures import picture
from tests.conftest import Ran
from tests.support.conditional_origin import DATE, ConditionalOrigin, Served
from tests.support.stored_files import Bucket, check_right, files, images, results, write_manifest

Command = Callable[..., Ran]
ONE, OTHER = picture("jpeg/small-dawn.jpg").data, picture("jpeg/small-waves.jpg").data
PATHS = ["/etag", "/modified", "/both", "/plain", "/changes", "/redirected", "/gone", "/down"]


def by_path(rows: list[dict[str, Any]]) -> dict[str, tuple[str, int | None]]:
    return {f"/{row['url'].rpartition('/')[2]}": (row["outcome"], row["http_status"]) for row in rows}


def test_only_what_has_changed_is_downloaded_again(imgrelay: Command, tmp_path: Path):
    out = tmp_path / "out"
    same = Served(ONE, '"1"', DATE)
    with ConditionalOrigin(dict.fromkeys([*PATHS, "/there"], same)) as origin:
        origin.served["/modified"] = Served(ONE, None, DATE)
        origin.served["/plain"] = Served(ONE)
        origin.served["/redirected"] = Served(b"", status=302, location="/there")
        manifest = write_manifest(tmp_path, [origin.url(path) for path in PATHS])
        options = ("--manifest", manifest, "--destination", out, "--json", "--tolerated-failure-percentage", "100")
        first = imgrelay("run", *options)
        assert (first.code, first.summary["uploaded"]) == (0, len(PATHS)), first.err
        assert not any(conditions for _, conditions in origin.take().values())
        before = images(files(out))

        for more in ((), ("--recheck", "1h")):
            again = imgrelay("run", *options, *more)
            assert (again.code, again.summary["unchanged"], origin.take()) == (0, len(PATHS), {}), again.err
        preview = imgrelay("run", *options, "--recheck", "0d", "--dry-run")
        assert '"to_recheck":8' in preview.out
        assert origin.take() == {}

        origin.served["/changes"] = Served(OTHER, '"2"', DATE)
        origin.served["/gone"] = Served(b"", status=404)
        origin.served["/down"] = Served(b"", status=403)
        asked = imgrelay("run", *options, "--recheck", "0d")
        stored = files(out)
        rows = results(stored, asked.summary)
        assert by_path(rows) == {
            **dict.fromkeys(("/etag", "/modified", "/both", "/redirected"), ("unchanged", 304)),
            "/plain": ("unchanged", 200),
            "/changes": ("uploaded", 200),
            "/gone": ("failed", 404),
            "/down": ("failed", 403),
        }
        assert asked.summary["bytes_in"] == len(ONE) + len(OTHER)
        assert {path: status for path, (status, _) in origin.take().items()} == {
            **dict.fromkeys(("/etag", "/modified", "/both", "/there"), 304),
            **dict.fromkeys(("/plain", "/changes"), 200),
            **{"/redirected": 302, "/gone": 404, "/down": 403},
        }
        after = images(stored)
        changed = [row for row in rows if row["outcome"] == "uploaded"]
        assert [key for key in before if after[key] != before[key]] == [changed[0]["key"]]
        assert changed[0]["source_sha256"] not in {row["source_sha256"] for row in rows if row is not changed[0]}
        check_right(stored, rows)

        origin.served["/down"] = same
        rest = imgrelay("run", *options, "--recheck", "1h")  # what was asked just now is not asked again
        assert rest.summary["failed"] == rest.summary["not_asked"] == 1
        assert by_path(results(files(out), rest.summary))["/down"] == ("unchanged", 304)
        assert {path: status for path, (status, _) in origin.take().items()} == {"/down": 304}


def test_an_object_is_read_again_only_if_its_etag_has_changed(imgrelay: Command, bucket: Bucket, tmp_path: Path):
    for key in ("in/a.jpg", "in/b.jpg"):
        bucket.client.put_object(Bucket=bucket.name, Key=key, Body=ONE)
    local = tmp_path / "c.jpg"
    local.write_bytes(ONE)
    manifest = write_manifest(tmp_path, [f"s3://{bucket.name}/in/{name}" for name in ("a.jpg", "b.jpg")] + [str(local)])
    options = ("--manifest", manifest, "--destination", tmp_path / "out", "--json")
    first = imgrelay("run", *options, **bucket.environment)
    assert (first.code, first.summary["uploaded"]) == (0, 3), first.err
    bucket.client.put_object(Bucket=bucket.name, Key="in/b.jpg", Body=OTHER)
    asked = imgrelay("run", *options, "--recheck", "0d", **bucket.environment)
    assert asked.code == 0, asked.err
    assert [row["outcome"] for row in results(files(tmp_path / "out"), asked.summary)] == [
        "unchanged",
        "uploaded",
        "unchanged",
    ]
    assert asked.summary["bytes_in"] == len(OTHER)
