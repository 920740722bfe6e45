"""Fetching an image from its URL, or from one of its mirrors when the URL fails for good."""

from collections.abc import Callable
from dataclasses import replace

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.fetch.downloader import FetchResult
from imgrelay_dagster.relay.outcomes import Record

Fetch = Callable[[str], FetchResult]


def fetch_record(record: Record, fetch: Fetch) -> tuple[Record, FetchResult]:
    """The record with its downloaded size, and the result of the download that succeeded.

    Args:
        fetch: downloads one URL, with its retries.

    Raises:
        EntryFailure: that of the record's own URL, when no mirror serves the image either.
        Deferred: a download takes too long for now.
    """
    first: EntryFailure | None = None
    attempts = 0
    for url in (record.url, *record.fallback_urls):
        try:
            fetched = fetch(url)
        except EntryFailure as failure:
            first = first or failure
            attempts += failure.attempts
            continue
        served = None if url == record.url else url
        return replace(
            record,
            attempts=attempts + fetched.attempts,
            http_status=fetched.http_status or None,
            bytes_in=fetched.bytes_in,
            served_url=served,
        ), fetched
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
