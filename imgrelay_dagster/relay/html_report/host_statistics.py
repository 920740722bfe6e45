"""Statistics per host in bounded memory: a manifest may name a hundred thousand hosts."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter

MAX_HOSTS = 2000
"""Hosts kept at the same time."""

MIN_DOWNLOADS = 3
"""A host needs this many downloads before its average counts as meaningful."""


@dataclass(slots=True)
class HostStatistics:
    """The entries of one host, its failures by reason, and the time of its downloads in seconds."""

    entries: int = 0
    failed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    downloads: int = 0
    total_seconds: float = 0.0
    max_seconds: float = 0.0

    @property
    def mean_seconds(self) -> float:
        """The average time of a download, in seconds."""
        return self.total_seconds / self.downloads if self.downloads else 0.0


RankedHosts = list[tuple[str, HostStatistics]]


class StatisticsByHost:
    """Maps host names to their statistics; a missing host is created.

    When there are too many hosts, those with few failures and little download time are discarded.

    Attributes:
        complete: whether no host has been discarded.
    """

    def __init__(self) -> None:
        self._hosts: dict[str, HostStatistics] = {}
        self.complete = True

    def __getitem__(self, name: str) -> HostStatistics:
        host = self._hosts.get(name)
        if host is None:
            if len(self._hosts) >= MAX_HOSTS:
                self._evict()
            host = self._hosts[name] = HostStatistics()
        return host

    def _evict(self) -> None:
        self.complete = False
        failing = heapq.nlargest(MAX_HOSTS // 4, self._hosts.items(), key=lambda item: item[1].failed)
        costly = heapq.nlargest(MAX_HOSTS // 4, self._hosts.items(), key=lambda item: item[1].total_seconds)
        self._hosts = dict(failing) | dict(costly)

    def most_failed(self, limit: int) -> RankedHosts:
        """Return the hosts with the most failed entries."""
        return self._ranked(limit, attrgetter("failed"))

    def slowest(self, limit: int) -> RankedHosts:
        """Return the hosts with the longest average download time.

        Hosts with fewer than `MIN_DOWNLOADS` downloads appear only when there are no others.
        """
        meaningful = self._ranked(limit, lambda host: host.mean_seconds if host.downloads >= MIN_DOWNLOADS else 0.0)
        return meaningful or self._ranked(limit, attrgetter("mean_seconds"))

    def __len__(self) -> int:
        return len(self._hosts)

    def _ranked(self, limit: int, weight: Callable[[HostStatistics], float]) -> RankedHosts:
        weighted = ((weight(host), name, host) for name, host in self._hosts.items())
        best = heapq.nlargest(limit, (item for item in weighted if item[0] > 0), key=itemgetter(0))
        return [(name, host) for _, name, host in best]
