"""What each host cost, for the hosts that matter: a manifest may name a hundred thousand."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter

MOST_HOSTS = 2000
"""Hosts kept at once."""

FEWEST = 3
"""Downloads from which on a host's average says something."""

Ranked = list[tuple[str, "Host"]]


@dataclass(slots=True)
class Host:
    """One host: entries, how many of them failed and why, downloads and the time they took, in seconds."""

    entries: int = 0
    failed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    downloads: int = 0
    seconds: float = 0.0
    slowest: float = 0.0

    @property
    def mean(self) -> float:
        """Seconds that a download took on average."""
        return self.seconds / self.downloads if self.downloads else 0.0


class Hosts:
    """Counts by host. Once there are too many, those with few failures and little time are let go of.

    Attributes:
        complete: whether none was let go of.
    """

    def __init__(self) -> None:
        self._hosts: dict[str, Host] = {}
        self.complete = True

    def __getitem__(self, name: str) -> Host:
        host = self._hosts.get(name)
        if host is None:
            if len(self._hosts) >= MOST_HOSTS:
                self._let_go()
            host = self._hosts[name] = Host()
        return host

    def _let_go(self) -> None:
        self.complete = False
        failing = heapq.nlargest(MOST_HOSTS // 4, self._hosts.items(), key=lambda item: item[1].failed)
        costly = heapq.nlargest(MOST_HOSTS // 4, self._hosts.items(), key=lambda item: item[1].seconds)
        self._hosts = dict(failing) | dict(costly)

    def most_failed(self, most: int) -> Ranked:
        """The hosts with the most failed entries."""
        return self._ranked(most, attrgetter("failed"))

    def slowest(self, most: int) -> Ranked:
        """The hosts whose downloads took longest on average; those with very few only where there are no others."""
        well_known = self._ranked(most, lambda host: host.mean if host.downloads >= FEWEST else 0.0)
        return well_known or self._ranked(most, attrgetter("mean"))

    def __len__(self) -> int:
        return len(self._hosts)

    def _ranked(self, most: int, weight: Callable[[Host], float]) -> Ranked:
        weighed = ((weight(host), name, host) for name, host in self._hosts.items())
        best = heapq.nlargest(most, (item for item in weighed if item[0] > 0), key=itemgetter(0))
        return [(name, host) for _, name, host in best]
