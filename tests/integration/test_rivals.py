"""The programs that benchmarks compare imgrelay with do the same work: their pictures look the same."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat, JpegImagePlugin

from benchmarks.rivals import sharp_command
from benchmarks.rivals.missing import MissingContenderError
from imgrelay_dagster.demo.pictures import picture
from imgrelay_dagster.relay.imaging.compose import Output, Template, compose
from imgrelay_dagster.relay.imaging.layout import Layout
from tests.conftest import ROOT
from tests.support.hostile_origin import HostileOrigin

FRAME = ROOT / "imgrelay_dagster" / "templates" / "frame.png"
DIFFERENCE = 4.0
"""Mean difference of the samples: two encoders of JPEG, and two ways to scale the template."""


@pytest.fixture
def origin() -> Iterator[HostileOrigin]:
    found = picture("jpeg/small-dawn.jpg")
    with HostileOrigin({"/x.jpg": (found.data, found.media_type)}) as server:
        yield server


def test_sharp_composes_the_picture_that_imgrelay_composes(origin: HostileOrigin, tmp_path: Path):
    manifest, out = tmp_path / "urls.txt", tmp_path / "out"
    urls = [origin.url("/x.jpg"), *(origin.url(f"/latency/20/{number}/x.jpg") for number in range(5))]
    manifest.write_text("".join(f"{url}\n" for url in [*urls, origin.url("/status/404")]))
    try:
        command = sharp_command.command(manifest, out, frame=FRAME, processes=2, downloads=4)
    except MissingContenderError:
        pytest.skip("the optional tool sharp is not installed")
    environment = {**os.environ, **sharp_command.ENVIRONMENT}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout) == {"uploaded": len(urls), "failed": 1}
    assert "/status/404: 404" in done.stderr
    stored = list(out.iterdir())
    assert len(stored) == len(urls)
    template = Template.load(FRAME.read_bytes(), FRAME.name)
    composed = compose(picture("jpeg/small-dawn.jpg").data, template, Layout(), Output(), max_pixels=10_000_000)
    (tmp_path / "own.jpg").write_bytes(composed.data)
    own = Image.open(tmp_path / "own.jpg")
    for path in stored:
        other = Image.open(path)
        assert (other.format, other.mode, other.size) == (own.format, own.mode, own.size)
        assert max(ImageStat.Stat(ImageChops.difference(own, other)).mean) < DIFFERENCE
        assert other.quantization == own.quantization  # the same quality
        assert JpegImagePlugin.get_sampling(other) == JpegImagePlugin.get_sampling(own)
