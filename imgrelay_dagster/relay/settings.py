"""What a run is told: the engine's side of the run config, every value checked."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial

from imgrelay_dagster.relay.fetch.downloader import Limits
from imgrelay_dagster.relay.imaging.compose import COMPOSER_VERSION, Output
from imgrelay_dagster.relay.imaging.layout import Layout
from imgrelay_dagster.relay.keys import default_key, fingerprint


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard run's place: it relays share `number` (from 1) `of` so many, into which run `coordinator` was cut."""

    coordinator: str
    number: int
    of: int


@dataclass(frozen=True, slots=True)
class Settings:
    """One run's settings. `template` is a file name inside the template folder."""

    dataset: str
    destination: str
    template: str = "frame.png"
    layout: Layout = field(default_factory=Layout)
    output: Output = field(default_factory=Output)
    limits: Limits = field(default_factory=Limits)
    max_pixels: int = 50_000_000
    compose_threads: int = 2
    upload_threads: int = 16
    tolerated_failure_percentage: float = 5.0
    refresh: bool = False
    retry_permanent: bool = False
    verify: bool = False
    urls_per_task: int | None = None
    max_concurrent: int = 2
    max_entries_per_run: int | None = None
    shard: Shard | None = None

    def default_key(self, url: str) -> str:
        """The key of an entry that names none."""
        return default_key(url, self.output.extension.removeprefix("."))

    def fingerprints(self) -> Callable[..., str]:
        """What gives the fingerprint of a `url` with a `template_digest`: all else that decides the output is known."""
        return partial(
            fingerprint,
            layout=asdict(self.layout),
            output=asdict(self.output),
            composer_version=str(COMPOSER_VERSION),
        )
