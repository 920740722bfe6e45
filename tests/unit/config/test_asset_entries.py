"""The daily assets in the file of profiles: each mistake is refused in one sentence."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from imgrelay_dagster.automation import day_assets
from imgrelay_dagster.automation.day_assets import DEFAULT, DayAsset
from imgrelay_dagster.config.asset_entries import checked_entries
from imgrelay_dagster.config.profiles import Profiles
from imgrelay_dagster.relay.errors import RelayError

GOOD = {"name": "thumbnails", "profile": "small", "owners": ["team:catalog"], "kinds": ["s3"], "tags": {"a": "b"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a b"}, "asset 'a b': use another name, of at most 60 letters, digits and underscores"),
        ({"name": "plan"}, "asset 'plan': use another name"),
        ({"name": None}, "of the file of profiles has no name; write - name: NAME"),
        ({"profile": "large"}, "there is no profile 'large'; there are small"),
        ({"manifests": "a.csv"}, "asset 'thumbnails': manifests 'a.csv' has no {day} in it; write 'thumbnails/"),
        ({"owner": "anna"}, "asset 'thumbnails': owner is not a field of an asset; they are name, profile, manifests,"),
        ({"owners": "anna"}, "asset 'thumbnails': owners 'anna' is not a list of texts"),
        ({"owners": ["anna"]}, "asset 'thumbnails': "),
        ({"tags": {"a": 1}}, "asset 'thumbnails': tags {'a': 1} is not a mapping of texts"),
        ({"tags": {"a b c!": "x"}}, "asset 'thumbnails': "),
    ],
)  # fmt: skip
def test_a_mistake_is_named(changes: dict[str, Any], message: str):
    entry = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    with pytest.raises(RelayError) as refused:
        checked_entries(Profiles({"small": {}}, assets=(entry,)))
    assert message in str(refused.value)


def test_a_name_stands_once():
    with pytest.raises(RelayError, match="asset 'thumbnails' stands twice in the file of profiles"):
        checked_entries(Profiles({"small": {}}, assets=(GOOD, GOOD)))


def test_a_code_location_reads_its_assets_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A file that changes while runs are under way changes no step of theirs, which inherits the environment."""
    path = tmp_path / "profiles.yaml"
    path.write_text(yaml.safe_dump({"profiles": {"small": {}}, "assets": [GOOD]}))
    monkeypatch.setenv("IMGRELAY_DAY_ASSETS", "")
    monkeypatch.setenv("IMGRELAY_PROFILES", str(path))
    expected = DayAsset("thumbnails", "small", owners=("team:catalog",), kinds=("s3",), tags=(("a", "b"),))
    for _ in range(2):
        day_assets.day_assets.cache_clear()
        assert day_assets.day_assets() == (DEFAULT, expected)
        path.unlink(missing_ok=True)
    monkeypatch.delenv("IMGRELAY_PROFILES")
    day_assets.day_assets.cache_clear()
    assert day_assets.day_assets() == (DEFAULT,)
