"""`imgrelay template show`, in this process."""

from pathlib import Path

import pytest
import yaml
from PIL import Image

from imgrelay_dagster.cli import main
from imgrelay_dagster.relay.imaging.window import Window, parse_window


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A blue card of 100x80 pixels with a hole, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMGRELAY_ARGUMENT_TEMPLATE", "")
    image = Image.new("RGBA", (100, 80), (0, 0, 255, 255))
    image.paste((0, 0, 0, 0), (10, 5, 90, 65))
    image.save("card.png")
    return tmp_path / "card.png"


@pytest.mark.parametrize(
    ("arguments", "printed", "corner"),
    [
        ([], "window: {x: 10, y: 5, width: 80, height: 60}", (10, 5)),
        (["--window", "50%,40,25, 30"], "window: {x: 50, y: 40, width: 25, height: 30}", (50, 40)),
    ],
)
def test_the_window_is_drawn_and_printed_as_a_run_config_has_it(
    card: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], printed: str, corner: tuple[int, int]
) -> None:
    assert main(["template", "show", card.name, "--out", "window.png", *arguments]) == 0
    out, err = capsys.readouterr()
    assert (out.strip(), err) == (printed, "")
    assert isinstance(parse_window(yaml.safe_load(out)["window"]), Window)
    with Image.open("window.png") as picture:
        assert (picture.mode, picture.size) == ("RGB", (100, 80))
        assert picture.getpixel(corner) == (0xE6, 0, 0x7A)
        assert picture.getpixel((2, 2)) == (0, 0, 255)
        assert {picture.getpixel((14, 14)), picture.getpixel((18, 14))} == {(255, 255, 255), (204, 204, 204)}


def test_a_template_without_a_hole_is_told(card: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (20, 10), "red").save(card)
    assert main(["template", "show", card.name, "--out", "window.jpg"]) == 0
    out, err = capsys.readouterr()
    assert out == "window: {x: 0, y: 0, width: 20, height: 10}\n"
    assert err == "imgrelay: template 'card.png' has no hole; its window is all of it\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope.png", "--out", "w.png"], "template 'nope.png' not found"),
        (["card.png", "--out", "w.xyz"], "'w.xyz' has no extension of a picture"),
        (["card.png", "--out", "no/w.png"], "'no/w.png' cannot be written: No such file or directory"),
        (["card.png", "--out", "card.png"], "'card.png' is the template itself"),
        (["card.png", "--out", "w.png", "--window", "1,2,3,4,5"], "layout window '1,2,3,4,5' is not a window"),
        (["card.png", "--out", "w.png", "--window", "50,2,80,4"], "is not a box inside the template of 100x80 pixels"),
    ],
)
def test_what_cannot_be_used_is_wrong_usage(
    card: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    before = card.read_bytes()
    assert main(["template", "show", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert card.read_bytes() == before
