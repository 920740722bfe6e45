"""400 photographs, canceled half-way: what was downloaded is stored or kept, and is not downloaded again."""

import json
import signal
from pathlib import Path

from PIL import Image

from tests.support.command import RunningCommand, assert_quiet, until
from tests.support.hostile_origin import HostileOrigin
from tests.support.picture_files import encoded
from tests.support.stored_files import check_accounts, files, write_manifest

ENTRIES = 400
LATENCY = 100
"""Milliseconds before each answer, so that composing and downloading take about the same time."""

THREADS = 8
"""Concurrent downloads of each step. With more, a larger part of the downloads is under way at a cancel."""

PART = 0.8
"""Part of the downloads that a cancel keeps."""


def photograph() -> tuple[bytes, str]:
    """A picture of about 1.7 MB that takes as long to decode as a photograph of that size."""
    grain = [Image.effect_noise((1800, 1350), 70) for _ in range(3)]
    data = encoded(Image.merge("RGB", grain), "JPEG", quality=84)
    assert 1_500_000 < len(data) < 1_900_000
    return data, "image/jpeg"


def test_what_a_canceled_run_downloaded_is_not_downloaded_again(home: Path, tmp_path: Path, figures: Path):
    data, media_type = photograph()
    out = tmp_path / "out"
    config = tmp_path / "config.yaml"
    config.write_text(f"download: {{threads: {THREADS}}}")
    with HostileOrigin({"/x.jpg": (data, media_type)}) as origin:
        manifest = write_manifest(tmp_path, [origin.url(f"/latency/{LATENCY}/{n}/x.jpg") for n in range(ENTRIES)])
        options = ("--manifest", manifest, "--destination", out, "--json", "--config", config)
        with RunningCommand(home, tmp_path, *options) as command:
            until(lambda: len(origin.hits) >= ENTRIES // 2, 300, "half of the downloads have begun")
            command.send(signal.SIGINT, group=True)
            canceled = command.wait(20)
            command.wait_until_gone(2)
        assert canceled.code == 130
        assert_quiet(canceled.err)
        asked, stored = len(origin.hits), canceled.summary["uploaded"]
        assert origin.hits.total() == asked < ENTRIES
        kept = [path for path in (home / "staging-originals").rglob("*") if path.is_file()]
        kept_pictures = sum(path.stat().st_size for path in kept) // len(data)
        with RunningCommand(home, tmp_path, *options) as command:
            again = command.wait(400)
        assert again.code == 0, again.err
        repeated = origin.hits.total() - ENTRIES
    found = {"asked for": asked, "stored": stored, "kept": kept_pictures, "asked for again": repeated}
    print(found, flush=True)
    (figures / "kept_downloads.json").write_text(json.dumps(found))
    assert stored + kept_pictures >= PART * asked  # the requests that had no answer yet count as lost
    assert repeated == asked - stored - kept_pictures
    assert again.summary["bytes_in"] == len(data) * (ENTRIES - stored - kept_pictures)
    assert (again.summary["unchanged"], again.summary["uploaded"]) == (stored, ENTRIES - stored)
    assert not (home / "staging-originals").exists()
    check_accounts(files(out), again.summary, ENTRIES)
