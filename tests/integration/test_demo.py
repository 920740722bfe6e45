"""The demo origin: it serves every picture of its catalogue, and every fault behaves as defined."""

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import ExifTags, Image, ImageChops, ImageCms, ImageOps, ImageStat

from imgrelay_dagster.demo import manifests, templates
from imgrelay_dagster.demo.faults import FAULTS, SLOW_SECONDS
from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.demo.pictures import names, picture
from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.staging.tasks import PER_URL_LIMIT


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def http_error_302(self, *_response: object) -> None:
        return None


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)
_following = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin() as serving:
        yield serving


def _get(url: str) -> tuple[int, bytes, str]:
    try:
        with _direct.open(url, timeout=10) as response:
            return response.status, response.read(), response.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers["Content-Type"]


def test_every_picture_is_served_and_has_its_declared_size(origin: Origin) -> None:
    assert len(names()) >= 60
    for name in names():
        status, body, media_type = _get(origin.url(name))
        stated = picture(name)
        with Image.open(BytesIO(body)) as image:
            image.load()
            assert (status, media_type, image.get_format_mimetype()) == (
                200,
                stated.media_type,
                media_type,
            ), name
            assert ImageOps.exif_transpose(image).size == stated.size, name


def test_the_catalogue_has_every_kind_of_image_file() -> None:
    images = [Image.open(BytesIO(picture(name).data)) for name in names()]
    kinds = {(image.format, image.mode) for image in images}
    jpegs = {("JPEG", mode) for mode in ("RGB", "L", "CMYK")}
    pngs = {("PNG", mode) for mode in ("RGB", "RGBA", "P", "1", "LA", "I;16")}
    webps = {("WEBP", "RGB"), ("WEBP", "RGBA")}
    assert kinds >= jpegs | pngs | webps | {("GIF", "P"), ("AVIF", "RGB"), ("AVIF", "RGBA")}
    assert sum("progressive" in image.info for image in images) >= 3
    assert sum(getattr(image, "n_frames", 1) > 1 for image in images) >= 2
    assert sum(image.mode == "P" and "transparency" in image.info for image in images) >= 2


def test_all_eight_exif_orientations_give_the_same_upright_picture() -> None:
    upright: dict[int, Image.Image] = {}
    for name in names():
        if name.startswith("jpeg-turned/"):
            image = Image.open(BytesIO(picture(name).data))
            upright[image.getexif()[ExifTags.Base.Orientation]] = ImageOps.exif_transpose(image)
    assert sorted(upright) == list(range(1, 9))
    for first in (1, 2):
        for orientation in range(first, 9, 2):
            difference = ImageChops.difference(upright[first], upright[orientation])
            assert max(ImageStat.Stat(difference).mean) < 3, orientation


def test_embedded_profiles_are_wider_than_srgb() -> None:
    wide = [name for name in names() if name.startswith("jpeg-icc/")]
    assert wide
    for name in wide:
        image = Image.open(BytesIO(picture(name).data))
        embedded = ImageCms.ImageCmsProfile(BytesIO(image.info["icc_profile"]))
        green = ImageCms.profileToProfile(
            Image.new("RGB", (1, 1), (0, 255, 0)), ImageCms.createProfile("sRGB"), embedded
        )
        assert green is not None
        assert green.getpixel((0, 0))[0] > 60, f"sRGB green is inside the space of {name}"


def test_a_query_makes_a_different_url_of_the_same_picture(origin: Origin) -> None:
    urls = origin.many(2000)
    assert len(set(urls)) == 2000
    assert urls == origin.many(2000)
    first, again = urls[0], urls[len(names())]
    assert _get(first)[1] == _get(again)[1]
    assert origin.hits[first.removeprefix(origin.url("").rstrip("/"))] == 1


def test_the_manifest_lists_good_and_bad_urls_once(origin: Origin) -> None:
    urls = origin.manifest()
    assert len(urls) == len(set(urls))
    reasons = manifests.expected(urls)
    assert sum(reason is None for reason in reasons.values()) >= 60
    assert len({reason for reason in reasons.values() if reason}) >= 8
    assert reasons["http://no-such-host.invalid/x.jpg"] is Reason.DNS_ERROR


@pytest.mark.parametrize(
    ("path", "status"),
    [("not-found", 404), ("gone", 410), ("forbidden", 403), ("server-error", 500), ("redirect-loop", 302)],
)
def test_http_statuses(origin: Origin, path: str, status: int) -> None:
    assert _get(origin.url(f"/bad/{path}.jpg"))[0] == status


def test_busy_twice_counts_each_url_separately(origin: Origin) -> None:
    for query in ("?n=1", "?n=2"):
        assert [_get(origin.url(f"/odd/busy-twice.jpg{query}"))[0] for _ in range(4)] == [503, 503, 200, 200]


def test_truncated_bodies_are_shorter_than_their_content_length(origin: Origin) -> None:
    with pytest.raises(http.client.IncompleteRead):
        _get(origin.url("/bad/truncated.jpg"))
    with _direct.open(origin.url("/bad/huge.jpg"), timeout=10) as response:
        assert int(response.headers["Content-Length"]) > 2**30


def test_pillow_rejects_bodies_that_are_not_images(origin: Origin) -> None:
    for path, fault in FAULTS.items():
        if fault.reason in (Reason.CORRUPT_IMAGE, Reason.UNSUPPORTED_FORMAT, Reason.EMPTY_BODY):
            status, body, _ = _get(origin.url(path))
            assert status == 200, path
            with pytest.raises(OSError, match=r"cannot identify|truncated|broken|decod"):
                Image.open(BytesIO(body)).load()


def test_the_pixel_bomb_is_small_and_declares_too_many_pixels(origin: Origin) -> None:
    _, body, _ = _get(origin.url("/bad/pixel-bomb.png"))
    assert len(body) < 200
    with pytest.raises(Image.DecompressionBombError):
        Image.open(BytesIO(body))


def test_redirects_have_the_expected_target(origin: Origin) -> None:
    with _following.open(origin.url("/odd/redirect.jpg"), timeout=10) as response:
        assert response.read() == picture("jpeg/small-dawn.jpg").data
    connection = http.client.HTTPConnection("127.0.0.1", origin.port, timeout=10)
    connection.request("GET", "/bad/redirect-to-private.jpg")
    assert connection.getresponse().headers["Location"] == "http://169.254.169.254/x.jpg"
    connection.close()


def test_odd_urls_return_the_picture(origin: Origin) -> None:
    for path in ("/odd/slow.jpg", "/odd/chunked.jpg", "/odd/untyped"):
        started = time.monotonic()
        assert _get(origin.url(path))[1] == picture("jpeg/small-dawn.jpg").data, path
        assert (time.monotonic() - started >= SLOW_SECONDS) == (path == "/odd/slow.jpg")


def test_a_stopped_origin_closes_open_connections() -> None:
    with Origin() as origin:
        connection = http.client.HTTPConnection("127.0.0.1", origin.port, timeout=10)
        connection.request("GET", "/jpeg/tiny-sunset.jpg")
        connection.getresponse().read()
    assert connection.sock.recv(1) == b""
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        connection.request("GET", "/jpeg/tiny-sunset.jpg")


def test_the_template_files_match_the_drawings() -> None:
    frame = templates.frame()
    for name, drawn in (("frame.png", frame), ("badge.png", templates.badge())):
        with Image.open(templates.FOLDER / name) as stored:
            assert (stored.mode, stored.size) == ("RGBA", drawn.size)
            difference = ImageChops.difference(stored, drawn)
            assert max(ImageStat.Stat(difference).mean) < 0.5, f"write {name} again"
    assert frame.getpixel((600, 450))[3] == 0
    assert frame.getpixel((5, 5))[3] == 255


def test_the_example_manifest_holds_the_sample_urls_with_distinct_keys(tmp_path: Path) -> None:
    written = tmp_path / "demo.csv"
    manifests.write_manifest(written, manifests.sample_urls("http://127.0.0.1:8790/"))
    example = Path(__file__).parents[2] / "examples" / "demo.csv"
    assert example.read_text() == written.read_text()
    keys = [line.split(",")[1] for line in written.read_text().splitlines()[1:]]
    assert 20 <= len(set(keys)) == len(keys) <= PER_URL_LIMIT
