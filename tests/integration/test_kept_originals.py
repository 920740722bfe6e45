"""Downloads are kept for the next run of their dataset: after a cancel, and for another template."""

import signal
from collections.abc import Callable
from pathlib import Path

from imgrelay_dagster.demo.pictures import picture
from tests.conftest import Ran
from tests.support.command import RunningCommand, until
from tests.support.hostile_origin import HostileOrigin
from tests.support.stored_files import files, images, write_manifest

Command = Callable[..., Ran]
ENTRIES = 240
THREADS, DOWNLOAD_STEPS = 8, 2
"""Concurrent downloads of each step, and the most steps of a run on two cores that download at the same time."""

LARGE = 1_700_000
"""Bytes of each picture: too many for a pack."""


def large_picture() -> tuple[bytes, str]:
    found = picture("jpeg/small-dawn.jpg")
    return found.data + bytes(LARGE - len(found.data)), found.media_type


def test_what_a_canceled_run_downloaded_is_not_fetched_again(imgrelay: Command, home: Path, tmp_path: Path):
    with HostileOrigin({"/x.jpg": large_picture()}) as origin:
        manifest = write_manifest(tmp_path, [origin.url(f"/latency/300/{n}/x.jpg") for n in range(ENTRIES)])
        config = tmp_path / "config.yaml"
        config.write_text(f"download: {{threads: {THREADS}}}")
        options = ("--manifest", manifest, "--destination", tmp_path / "out", "--json", "--config", config)
        with RunningCommand(home, tmp_path, *options) as command:
            until(lambda: len(origin.hits) >= ENTRIES // 2, 120, "half of the downloads have begun")
            command.send(signal.SIGINT, group=True)
            ran = command.wait(20)
        assert ran.code == 130
        first = len(origin.hits)
        assert not list((home / "staging").iterdir())
        again = imgrelay("run", *options)
        assert again.code == 0, again.err
        assert again.summary["uploaded"] + again.summary["unchanged"] == ENTRIES
        repeated = origin.hits.total() - ENTRIES
        under_way = DOWNLOAD_STEPS * THREADS  # requests that had no answer yet when the run was canceled
        assert repeated <= under_way + 0.2 * (first - under_way)
        assert again.summary["bytes_in"] == LARGE * (repeated + ENTRIES - first)
    assert not (home / "staging-originals").exists()


def test_another_template_asks_no_server_for_kept_originals(imgrelay: Command, home: Path, tmp_path: Path):
    found = picture("jpeg/small-dawn.jpg")
    config = tmp_path / "config.yaml"
    with HostileOrigin({"/x.jpg": (found.data, found.media_type)}) as origin:
        manifest = write_manifest(tmp_path, [origin.url(f"/latency/0/{n}/x.jpg") for n in range(40)])
        options = ("--manifest", manifest, "--destination", tmp_path / "out", "--json", "--config", config)
        config.write_text("keep_originals: true")
        first = imgrelay("run", *options)
        assert (first.code, first.summary["uploaded"], origin.hits.total()) == (0, 40, 40)
        framed = images(files(tmp_path / "out"))
        config.write_text("{keep_originals: true, layout: {mode: watermark}}")
        second = imgrelay("run", *options)
        assert (second.code, second.summary["uploaded"], second.summary["bytes_in"]) == (0, 40, 0)
        config.write_text("{keep_originals: true, layout: {mode: watermark, opacity: 0.5}}")
        third = imgrelay("run", *options)
        assert (third.code, third.summary["uploaded"], origin.hits.total()) == (0, 40, 40)
        marked = images(files(tmp_path / "out"))
        assert marked.keys() == framed.keys()
        assert all(marked[key] != framed[key] for key in framed)
        kept = list((home / "staging-originals").rglob("*"))
        config.write_text("{keep_originals: true, refresh: true}")
        fresh = imgrelay("run", *options)
        assert (fresh.code, origin.hits.total()) == (0, 80)
    assert kept
