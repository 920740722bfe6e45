"""Fetching an image from its URL, or from one of its mirrors when the URL fails for good."""

from collections.abc import Callable, Mapping

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.fetch.downloader import FetchResult
from imgrelay_dagster.relay.fetch.validators import NO_VALIDATORS
from imgrelay_dagster.relay.outcomes import Record, changed

Fetch = Callable[[str, Mapping[str, str]], FetchResult]


def fetch_record(record: Record, fetch: Fetch) -> tuple[Record, FetchResult]:
    """The record with its downloaded size, and the result of the download that succeeded.

    Args:
        fetch: downloads one URL, with its retries, unless the body that has the validators has not changed.

    Raises:
        EntryFailure: that of the record's own URL, when no mirror serves the image either.
        Deferred: a download takes too long for now.
    """
    first: EntryFailure | None = None
    attempts = 0
    earlier = record.earlier
    for url in (record.url, *record.fallback_urls):
        try:
            is_same = earlier is not None and url == (earlier.served_url or record.url)
            fetched = fetch(url, earlier.validators if earlier is not None and is_same else NO_VALIDATORS)
        except EntryFailure as failure:
            first = first or failure
            attempts += failure.attempts
            continue
        served = None if url == record.url else url
        asked = changed(
            record,
            attempts=attempts + fetched.attempts,
            http_status=fetched.http_status or None,
            bytes_in=fetched.bytes_in,
            served_url=served,
            validators=dict(fetched.validators),
        )
        if fetched.unchanged and earlier is not None:
            asked = changed(earlier.keep(asked), validators=asked.validators)
        return asked, fetched
    assert first is not None
    if not record.fallback_urls:
        raise first
    count = len(record.fallback_urls)
    mirrors = "its mirror failed too" if count == 1 else f"its {count} mirrors failed too"
    raise EntryFailure(
        first.reason,
        f"{first.detail}; {mirrors}",
        http_status=first.http_status,
        attempts=attempts,
    )
