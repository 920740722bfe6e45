"""Which settings a manifest takes: by name, by its sidecar, by a rule, and what wins."""

from pathlib import Path
from typing import Any

import pytest

from imgrelay_dagster.config.profiles import (
    Chosen,
    Profiles,
    changed_values,
    choose,
    load_profiles,
    merge,
    sidecar_address,
    with_values,
)
from imgrelay_dagster.config.run_config import RelayConfig
from imgrelay_dagster.relay.errors import RelayError

WATERMARK: dict[str, Any] = {"template": "badge.png", "layout": {"mode": "watermark"}, "output": {"format": "png"}}

FILE = """
profiles:
  watermark: {template: badge.png, layout: {mode: watermark}, output: {format: png}}
  webp: {output: {format: webp, quality: 70}}
rules:
  - {manifests: "shop/*.csv", profile: watermark}
  - {days: true, profile: webp}
"""


def no_store(address: str) -> Any:
    raise AssertionError(address)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "profiles.yaml").write_text(FILE)
    monkeypatch.setenv("IMGRELAY_PROFILES", str(tmp_path / "profiles.yaml"))
    (tmp_path / "shop").mkdir()
    return tmp_path


def test_the_first_rule_that_fits_decides_and_a_name_wins(folder: Path):
    manifest = f"{folder}/shop/a.csv"
    assert choose(None, manifest, no_store) == Chosen("watermark", WATERMARK)
    assert choose("webp", manifest, no_store) == Chosen("webp", {"output": {"format": "webp", "quality": 70}})
    assert choose("none", manifest, no_store) is None
    assert choose(None, f"{folder}/other.csv", no_store) is None
    day = choose(None, f"{folder}/other.csv", no_store, asset="relayed_images")
    assert day is not None
    assert day.name == "webp"
    with pytest.raises(RelayError, match="there is no profile 'png'; there are watermark, webp"):
        choose("png", manifest, no_store)


def test_a_sidecar_wins_over_the_rules_and_may_build_on_a_profile(folder: Path):
    sidecar = folder / "shop" / "a.yaml"
    sidecar.write_text("output: {format: png}\n")
    assert choose(None, f"{folder}/shop/a.csv.gz", no_store) == Chosen(None, {"output": {"format": "png"}})
    sidecar.write_text("profile: webp\noutput: {quality: 40}\n")
    assert choose(None, f"{folder}/shop/a.csv", no_store) == Chosen(
        "webp", {"output": {"format": "webp", "quality": 40}}
    )
    sidecar.write_text("layout: watermark\n")
    with pytest.raises(RelayError, match=r"write layout: \{mode: watermark\}"):
        choose(None, f"{folder}/shop/a.csv", no_store)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("profiles: [a]", "must hold a mapping"),
        ("profiles: {a: {refresh: true}}", "profile 'a': refresh belongs to one run"),
        ("profiles: {a: {qualty: 3}}", "profile 'a': qualty is not a field"),
        ("profiles: {a: {output: {quality: 300}}}", "profile 'a': output.quality: 300 is refused"),
        ("profiles: {a: {}}\nrules: [{profile: a}]", "must have profile, and manifests"),
        ("profiles: {a: {}}\nrules: [{profile: b, days: true}]", "there is no profile 'b'"),
        ("profiles: {a: {", "is not valid YAML, line 1"),
    ],
)
def test_a_file_of_profiles_that_cannot_be_used_is_refused_in_words(folder: Path, text: str, sentence: str):
    (folder / "profiles.yaml").write_text(text)
    with pytest.raises(RelayError) as caught:
        load_profiles(no_store)
    assert sentence in str(caught.value)


def test_values_that_a_launch_changes_win_over_the_profile():
    launched = RelayConfig.checked({"urls": ["http://127.0.0.1/a.jpg"], "output": {"quality": 50}})
    assert changed_values(launched) == {"output": {"quality": 50}}
    values = merge(WATERMARK, changed_values(launched))
    config = with_values(launched, values)
    assert (config.template, config.layout.mode) == ("badge.png", "watermark")
    assert (config.output.format, config.output.quality) == ("png", 50)
    assert config.urls == launched.urls
    assert load_profiles(no_store) == Profiles()


def test_the_sidecar_lies_beside_its_manifest():
    assert sidecar_address("s3://in/a/b.c.csv.gz") == "s3://in/a/b.c.yaml"
    assert sidecar_address("/in/day") == "/in/day.yaml"
