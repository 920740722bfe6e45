"""What a step knows about the adjustments of its run."""

from dataclasses import replace

from imgrelay_dagster.relay.adjustments import Adjustments
from imgrelay_dagster.relay.settings import Settings


class Steering:
    """The present adjustments of a run. One thread of a step updates them, the others read them.

    Attributes:
        current: the adjustments that count now.
    """

    def __init__(self, current: Adjustments | None = None) -> None:
        self.current = current or Adjustments()

    def take(self, adjustments: Adjustments) -> bool:
        """Let these adjustments count from now on; return whether they differ from those before."""
        changed = adjustments != self.current
        self.current = adjustments
        return changed

    @property
    def most_downloads(self) -> int | None:
        """How many downloads of a step may be under way; None for as many as its settings say."""
        return 0 if self.current.paused else self.current.threads

    @property
    def max_requests_per_second(self) -> float | None:
        """Requests per second to one host, of the whole run; None for what its settings say."""
        return self.current.max_requests_per_second

    def with_threads(self, settings: Settings) -> Settings:
        """The settings of a step that starts now: with enough threads for as many downloads as are allowed."""
        if self.current.threads is None or self.current.threads <= settings.limits.threads:
            return settings
        return replace(settings, limits=replace(settings.limits, threads=self.current.threads))
