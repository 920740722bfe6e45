"""The content of the report, formatted as text, in the order of the template `report.html`."""

from dataclasses import dataclass

from imgrelay_dagster.relay.html_report.charts import Chart
from imgrelay_dagster.relay.html_report.run_facts import Facts
from imgrelay_dagster.relay.html_report.shared_sources import SharedPicture
from imgrelay_dagster.relay.html_report.statistics import Example, Failure
from imgrelay_dagster.relay.records.summary import Summary


@dataclass(frozen=True, slots=True)
class OutcomeShare:
    """The number of entries with one outcome, and their share of all entries."""

    name: str
    label: str
    count: int
    share: str


@dataclass(frozen=True, slots=True)
class ReasonGroup:
    """The failed entries with one reason: their number, what the reason means, and some examples.

    `width` is the bar's width in percent; `share` is the share of all failures.
    """

    reason: str
    count: int
    share: str
    width: float
    meaning: str
    statuses: tuple[str, ...]
    examples: tuple[Example, ...]

    @property
    def not_shown(self) -> int:
        """The number of entries that are not among the examples."""
        return self.count - len(self.examples)


@dataclass(frozen=True, slots=True)
class FailingHost:
    """A host, the number of its failed entries, and their most frequent reason."""

    name: str
    failed: int
    entries: int
    main_reason: str


@dataclass(frozen=True, slots=True)
class SlowHost:
    """A host and the time of its downloads."""

    name: str
    mean: str
    slowest: str
    downloads: int


@dataclass(frozen=True, slots=True)
class StageTime:
    """The time of one image in one stage."""

    name: str
    mean: str
    median: str
    percentile_95: str


@dataclass(frozen=True, slots=True)
class SheetImage:
    """One image of the contact sheet. `link` leads to the image, `original` to its source if that may be shown."""

    line: int
    key: str
    uri: str
    width: int
    height: int
    link: str
    original: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A kind of difference from the previous run, the number of its entries, and some of their keys."""

    words: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReportPage:
    """The content of the page. Texts may be hostile; `render.py` sanitizes and escapes them."""

    dataset: str
    summary: Summary
    created: str
    lead: str
    stored: int
    results_prefix: str
    outcomes: tuple[OutcomeShare, ...]
    tiles: tuple[tuple[str, str], ...]
    failures: tuple[ReasonGroup, ...]
    failures_note: str
    warnings: tuple[str, ...]
    origin: Facts
    failed_columns: tuple[str, ...]
    failed_rows: tuple[Failure, ...]
    images: tuple[SheetImage, ...]
    images_note: str
    shared_lead: str
    shared: tuple[SharedPicture, ...]
    throughput: Chart | None
    pace_note: str
    download_time: Chart | None
    downloaded_size: Chart | None
    stored_size: Chart | None
    stages: tuple[StageTime, ...]
    failing_hosts: tuple[FailingHost, ...]
    slow_hosts: tuple[SlowHost, ...]
    hosts_note: str
    compared: tuple[Difference, ...]
    compared_note: str
    settings: Facts
    versions: Facts
