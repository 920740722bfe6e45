"""Pictures look as docs/formats.md says: files of many encoders, in imgrelay, in a headless Chromium and in libvips."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.decode import open_source
from tests.support import picture_files as files
from tests.support.browser import chromium, watched
from tests.support.damaged_pictures import exif_orientation, two_colors
from tests.support.encoder_files import DOCS, File, make_all, table
from tests.support.encoder_references import LIMIT, by_libvips, colors, difference, in_chromium, references
from tests.support.needs import in_ci

PICTURE = two_colors((64, 48))
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
WIDE = files.rgb_profile(P3, gamma=2.2)
EXIF = b"Exif\0\0" + exif_orientation(6)
ALPHA = files.noise((64, 48), mode="RGBA")
GRAY_ROWS = b"".join(b"\0" + bytes(range(0, 256, 4)) for _ in range(8))
PQ = b"cICP", bytes((9, 16, 0, 1))

FILES = {
    **{f"{name} turned": files.encoded(PICTURE, name, exif=EXIF) for name in ("JPEG", "PNG", "AVIF")},
    **{f"{name} wide": files.encoded(PICTURE, name, icc_profile=WIDE) for name in ("JPEG", "PNG", "WEBP", "AVIF")},
    "PNG alpha": files.encoded(ALPHA, "PNG"),
    "WebP alpha": files.encoded(ALPHA, "WEBP", lossless=True),
    "JPEG gray with an RGB profile": files.encoded(PICTURE.convert("L"), "JPEG", icc_profile=WIDE),
    "JPEG progressive": files.encoded(PICTURE, "JPEG", progressive=True, quality=95),
    "PNG palette": files.encoded(PICTURE.quantize(8), "PNG", transparency=1),
    "PNG linear": files.png((64, 8), 8, 0, GRAY_ROWS, (b"gAMA", (100_000).to_bytes(4, "big"))),
    "PNG cICP": files.png((64, 8), 8, 0, GRAY_ROWS, (b"cICP", bytes((12, 13, 0, 1)))),
    "PNG PQ": files.png((64, 8), 8, 0, GRAY_ROWS, PQ),
    "GIF animated": files.encoded(PICTURE, "GIF", save_all=True, append_images=[PICTURE.rotate(180)]),
    "BMP": files.encoded(PICTURE, "BMP"),
    "ICO": files.encoded(ALPHA.resize((32, 32)), "ICO", sizes=[(32, 32)]),
}
"""Files of Pillow, or made by hand, that look as in Chromium."""


def animated_png_out_of_order() -> bytes:
    """An animated PNG whose first frame has another sequence number than 0."""
    data = files.encoded(PICTURE, "PNG", save_all=True, append_images=[PICTURE.rotate(180)])
    at = data.index(b"fcTL")
    body = b"\0\0\0\5" + data[at + 8 : at + 30]
    return data[: at - 4] + files.png_chunk(b"fcTL", body) + data[at + 34 :]


MASTERED = b"mDCV", bytes(16) + (40_000_000).to_bytes(4, "big") + (50).to_bytes(4, "big")
OTHERWISE = {
    "JPEG with missing pixels": files.encoded(ALPHA.convert("RGB"), "JPEG")[:-200],
    "JPEG without end marker": files.encoded(PICTURE, "JPEG")[:-2],
    "WebP with an EXIF orientation": files.encoded(PICTURE, "WEBP", exif=EXIF),
    "PNG with an unknown critical chunk": files.png((64, 8), 8, 0, GRAY_ROWS, (b"ABCD", b"1")),
    "PNG with cICP for YCbCr": files.png((64, 8), 8, 0, GRAY_ROWS, (b"cICP", bytes((1, 13, 1, 1)))),
    "APNG with wrong sequence numbers": animated_png_out_of_order(),
    "PQ with mastering metadata (mDCV, mdcv)": files.png((64, 8), 8, 0, GRAY_ROWS, PQ, MASTERED),
    "AVIF with alpha, as Pillow 13 (libavif 1.4) writes it": files.encoded(ALPHA, "AVIF"),
    "TIFF, JPEG 2000, HEIC": files.encoded(PICTURE, "TIFF"),
}
"""A file for each row of the differences in docs/formats.md."""

ROWS = table()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def made(folder: Path) -> dict[str, bytes]:
    """The files of the table, as far as their tools are there; in CI every command has to work."""
    found, errors = make_all(folder)
    assert not (errors and in_ci()), errors
    return found


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with chromium() as browser:
        assert isinstance(browser, Browser)
        with watched(browser) as seen:
            yield seen.page


def made_by(file: File, made: dict[str, bytes]) -> bytes:
    if file.missing:
        pytest.skip(f"the optional tool {file.missing[0]} is not installed; .ci/run installs it")
    if file.name not in made:
        pytest.skip("this version of the tool does not make the file")
    return made[file.name]


def ours(data: bytes) -> Image.Image | None:
    try:
        return open_source(data, LIMIT)
    except EntryFailure:
        return None


@pytest.mark.parametrize("name", FILES)
def test_picture_looks_as_in_chromium(page: Page, name: str) -> None:
    shown = in_chromium(page, FILES[name])
    assert shown is not None
    assert difference(open_source(FILES[name], LIMIT), shown) == ""


def differences() -> list[str]:
    """The pictures in the table of differences in docs/formats.md."""
    section = DOCS.read_text().partition("## Differences to Chromium")[2].partition("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")]
    return rows[1:]


def test_the_docs_list_each_difference() -> None:
    assert differences() == list(OTHERWISE)


@pytest.mark.parametrize("name", OTHERWISE)
def test_deliberate_difference_is_one(page: Page, name: str) -> None:
    shown, here = in_chromium(page, OTHERWISE[name]), ours(OTHERWISE[name])
    assert shown is None or here is None or difference(here, shown) != ""


@pytest.mark.parametrize("file", ROWS, ids=lambda file: file.name)
def test_file_of_an_encoder_has_the_stored_colors(made: dict[str, bytes], file: File) -> None:
    data = made_by(file, made)
    if file.imgrelay != "shown":
        with pytest.raises(EntryFailure) as caught:
            open_source(data, LIMIT)
        assert caught.value.reason == file.imgrelay
        return
    size, *found = colors(open_source(data, LIMIT))
    stored_size, *stored = references()[file.name]
    assert size == stored_size
    pairs = zip(bytes.fromhex("".join(found)), bytes.fromhex("".join(stored)), strict=True)
    assert max(abs(a - b) for a, b in pairs) <= 5, (found, stored)


@pytest.mark.parametrize("file", ROWS, ids=lambda file: file.name)
def test_file_of_an_encoder_in_chromium(made: dict[str, bytes], page: Page, file: File) -> None:
    data = made_by(file, made)
    shown, here = in_chromium(page, data), ours(data)
    if shown is None or file.chromium == "refused":
        assert (shown, file.chromium) == (None, "refused")
    elif file.chromium == "same":
        assert here is not None
        assert difference(here, shown) == ""
    else:
        assert here is None or difference(here, shown) != ""


def test_files_of_encoders_in_libvips(made: dict[str, bytes], folder: Path) -> None:
    rows = [file for file in ROWS if file.name in made]
    sharp = File("", "sharp x", "", "", "")
    made_by(sharp, {"": b""})
    shown = by_libvips(folder, made)
    assert [file.name for file in rows if shown[file.name] is None] == [
        file.name for file in rows if file.libvips == "refused"
    ]
    for file in rows:
        theirs = shown[file.name]
        if file.libvips == "same" and theirs is not None:
            assert difference(open_source(made[file.name], LIMIT), theirs) == "", file.name


def test_in_ci_many_files_are_compared(made: dict[str, bytes]) -> None:
    if not in_ci() and any(file.missing for file in ROWS):
        pytest.skip("some of the encoders are not installed")
    assert len([file for file in ROWS if file.name in made and file.chromium != "refused"]) >= 150
