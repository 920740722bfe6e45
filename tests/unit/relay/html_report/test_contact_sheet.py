"""The contact sheet: unreadable images are left out, and time is limited."""

from imgrelay_dagster.relay.html_report.contact_sheet import read_thumbnails
from imgrelay_dagster.relay.html_report.statistics import StoredImage
from tests.support.reports import store_with_image


def test_missing_and_broken_images_are_left_out():
    store = store_with_image()
    store.put("broken.png", b"not an image")
    sample = [StoredImage(1, "gone.png", 1, 1), StoredImage(2, "broken.png", 1, 1), StoredImage(3, "a.png", 4, 3)]
    (thumbnail,) = read_thumbnails(store, sample)
    assert (thumbnail.stored.line, thumbnail.image.size) == (3, (4, 3))


def test_reading_stops_at_the_time_limit():
    ticks = iter(range(0, 1000, 5))
    sample = [StoredImage(line, "a.png", 4, 3) for line in range(1, 20)]
    assert len(read_thumbnails(store_with_image(), sample, clock=lambda: float(next(ticks)))) == 2
