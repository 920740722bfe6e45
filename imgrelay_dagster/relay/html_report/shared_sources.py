"""Pictures that answer several URLs, such as the placeholder that a shop sends with status 200, in bounded memory."""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

from imgrelay_dagster.relay import formatting
from imgrelay_dagster.relay.outcomes import Outcome, Record

MIN_URLS = 3
"""A picture counts as shared if it answers at least this many URLs."""

SHOWN = 6
"""Shared pictures that the report shows."""

MAX_SOURCES = 10_000
"""Pictures counted at the same time. When there are more, those with the fewest URLs are discarded."""

MAX_URLS = 100_000
"""URLs remembered, so that one that several lines name counts once. After that many, the memory begins anew."""


@dataclass(slots=True)
class SharedSource:
    """A downloaded picture: its SHA-256, the number of URLs that it answers, and the first image made of it."""

    digest: str
    urls: int
    line: int
    key: str


class SharedSources:
    """Counts the URLs that each downloaded picture answers."""

    def __init__(self) -> None:
        self._sources: dict[str, SharedSource] = {}
        self._urls: set[int] = set()

    def add(self, record: Record) -> None:
        """Count one ended record, if its image is stored."""
        digest = record.source_sha256
        if digest is None or record.key is None or record.outcome not in (Outcome.UPLOADED, Outcome.UNCHANGED):
            return
        url = hash(record.url)
        if url in self._urls:
            return
        if len(self._urls) == MAX_URLS:
            self._urls.clear()
        self._urls.add(url)
        source = self._sources.get(digest)
        if source is not None:
            source.urls += 1
            return
        if len(self._sources) == MAX_SOURCES:
            kept = heapq.nlargest(MAX_SOURCES // 4, self._sources.values(), key=lambda source: source.urls)
            self._sources = {source.digest: source for source in kept}
        self._sources[digest] = SharedSource(digest, 1, record.line, record.key)

    def shared(self) -> list[SharedSource]:
        """The pictures that answer at least `MIN_URLS` URLs, those with the most URLs first."""
        found = (source for source in self._sources.values() if source.urls >= MIN_URLS)
        return sorted(found, key=lambda source: -source.urls)

    def most_shared(self) -> list[SharedSource]:
        """The pictures that the report shows."""
        return self.shared()[:SHOWN]

    def sentence(self) -> str:
        """How many pictures answer how many URLs; empty if none is shared."""
        shared = self.shared()
        if not shared:
            return ""
        urls = formatting.count(sum(source.urls for source in shared))
        if len(shared) == 1:
            return f"1 picture answers {urls} URLs"
        return f"{formatting.count(len(shared))} pictures answer {urls} URLs"


@dataclass(frozen=True, slots=True)
class SharedPicture:
    """A shared picture as the report shows it. `uri` is a thumbnail of an image made of it; empty if there is none."""

    digest: str
    urls: int
    line: int
    uri: str


def shared_pictures(sources: SharedSources, uris: Mapping[str, str]) -> tuple[SharedPicture, ...]:
    """The most shared pictures, with their thumbnails. `uris` has data URIs by the stored image's key."""
    return tuple(
        SharedPicture(source.digest, source.urls, source.line, uris.get(source.key, ""))
        for source in sources.most_shared()
    )
