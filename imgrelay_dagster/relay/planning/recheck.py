"""Entries that are done, but were asked for so long ago that they are asked for again."""

from imgrelay_dagster.relay.outcomes import EarlierImage, Record, changed
from imgrelay_dagster.relay.settings import Settings

_DAY = 86_400.0


def with_earlier_image(record: Record, image: EarlierImage, receipt: Record, settings: Settings, now: float) -> Record:
    """The record of an entry that is done: as unchanged, or with the image that it is to be compared with.

    Args:
        image: what an earlier run stored.
        receipt: the entry's latest receipt.
        now: seconds since the epoch.
    """
    if settings.recheck is not None and (receipt.at is None or now - receipt.at >= settings.recheck * _DAY):
        return changed(record, earlier=image)
    return image.keep(record)
