"""Output in the formats of the sources, within a number of bytes, by the command in a process."""

import json
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from imgrelay_dagster.demo.origin import Origin
from tests.conftest import command_environment
from tests.support import warm_start
from tests.support.stored_files import files, images, results


def run(home: Path, *arguments: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Run the command; return its summary and what it stored."""
    done = warm_start.run(
        [sys.executable, "-m", "imgrelay_dagster.cli", "run", "--json", *arguments],
        cwd=home,
        env=command_environment(home),
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), files(home / "out")


def test_keys_follow_the_formats_of_the_sources_and_a_second_run_does_nothing(home: Path, origin: Origin) -> None:
    names = ("jpeg/dawn.jpg", "png/hexagons.png", "webp/coast.webp", "jpeg/panorama.jpg", "bad/gone.jpg")
    (home / "list.txt").write_text("\n".join(map(origin.url, names)))
    (home / "run.yaml").write_text(
        "output: {format: source, max_output_bytes: 30000, min_quality: 5}\ntolerated_failure_percentage: 60\n"
    )
    arguments = ("--manifest", "list.txt", "--config", "run.yaml", "--destination", "out")
    summary, stored = run(home, *arguments)
    records = results(stored, summary)
    kept = images(stored)
    assert {record["key"] for record in records if record["outcome"] == "uploaded"} == set(kept)
    for record in records:
        if record["outcome"] == "uploaded":
            suffix = Path(record["key"]).suffix
            with Image.open(home / "out" / record["key"]) as image:
                assert {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}[image.format or ""] == suffix
            assert record["bytes_out"] <= 30_000
            assert 5 <= record["quality"] <= 85
        else:
            assert record["key"].endswith(".*")
    outcomes = {record["url"].rpartition("/")[2]: record["reason"] or record["outcome"] for record in records}
    assert outcomes["hexagons.png"] == "output_too_large"
    assert outcomes["gone.jpg"] == "http_status"
    assert len(kept) == 3
    second, _ = run(home, *arguments)
    assert (second["uploaded"], second["unchanged"]) == (0, len(kept))
