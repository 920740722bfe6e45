"""What stands on the page, in the order of `report.html`: every figure already in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from imgrelay_dagster.relay import formatting
from imgrelay_dagster.relay.html_report.charts import Chart, spread_chart, timeline_chart
from imgrelay_dagster.relay.html_report.contact_sheet import Thumbnail
from imgrelay_dagster.relay.html_report.host_statistics import Host
from imgrelay_dagster.relay.html_report.run_facts import Facts, settings_facts, versions_facts
from imgrelay_dagster.relay.html_report.statistics import Example, RunStatistics
from imgrelay_dagster.relay.outcomes import MEANINGS, Outcome, Reason, Stage
from imgrelay_dagster.relay.records.layout import results_prefix
from imgrelay_dagster.relay.records.summary import Summary
from imgrelay_dagster.relay.settings import Settings

TOP_HOSTS = 10
STATUSES = 8


@dataclass(frozen=True, slots=True)
class Part:
    """One outcome's share of the whole."""

    name: str
    words: str
    number: int
    share: str


@dataclass(frozen=True, slots=True)
class Failure:
    """One reason: how often, what it means, some of its entries."""

    reason: str
    number: int
    share: str
    width: float
    meaning: str
    statuses: tuple[str, ...]
    examples: tuple[Example, ...]

    @property
    def more(self) -> int:
        """Entries that are not among the examples."""
        return self.number - len(self.examples)


@dataclass(frozen=True, slots=True)
class FailingHost:
    """A host, how many of its entries failed, and the commonest reason."""

    name: str
    failed: int
    entries: int
    mostly: str


@dataclass(frozen=True, slots=True)
class SlowHost:
    """A host and how long its downloads took."""

    name: str
    mean: str
    slowest: str
    downloads: int


@dataclass(frozen=True, slots=True)
class StageTime:
    """How long images were in one stage."""

    name: str
    mean: str
    half: str
    most: str


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of the contact sheet."""

    line: int
    key: str
    uri: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Page:
    """The page's contents. Texts may be hostile: they are made harmless where they are rendered."""

    dataset: str
    summary: Summary
    made: str
    lead: str
    stored: int
    place: str
    parts: tuple[Part, ...]
    tiles: tuple[tuple[str, str], ...]
    failures: tuple[Failure, ...]
    failed_note: str
    pictures: tuple[Picture, ...]
    pictures_note: str
    course: Chart | None
    download_time: Chart | None
    size_in: Chart | None
    size_out: Chart | None
    stages: tuple[StageTime, ...]
    failing_hosts: tuple[FailingHost, ...]
    slow_hosts: tuple[SlowHost, ...]
    hosts_note: str
    settings: Facts
    versions: Facts


def build_view_model(
    summary: Summary, settings: Settings, gathered: RunStatistics, smalls: Sequence[Thumbnail], *, now: float
) -> Page:
    """Put everything into words. `now` is the time that the page is made, in seconds since the epoch."""
    stored = summary.uploaded + summary.unchanged
    return Page(
        dataset=summary.dataset,
        summary=summary,
        made=f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M} UTC",
        lead=_lead(summary, stored),
        stored=stored,
        place=results_prefix(summary.dataset, summary.run_id),
        parts=_parts(summary),
        tiles=_tiles(summary, gathered),
        failures=_failures(summary, gathered),
        failed_note=f"{formatting.count(summary.failed)} of {formatting.count(summary.entries)} entries, "
        f"{formatting.percent(summary.failed, summary.entries)}; "
        f"{settings.tolerated_failure_percentage:g} % are tolerated. "
        "Launching the same manifest again tries what may pass.",
        pictures=tuple(Picture(small.stored.line, small.stored.key, small.uri, *small.image.size) for small in smalls),
        pictures_note=f"{len(smalls)} of {formatting.count(stored)} stored images, "
        + ("all of them" if len(smalls) == stored else "picked at random")
        + ", in manifest order",
        course=timeline_chart(gathered.course),
        download_time=spread_chart(gathered.seconds[Stage.DOWNLOAD], formatting.seconds),
        size_in=spread_chart(gathered.bytes_in, formatting.size),
        size_out=spread_chart(gathered.bytes_out, formatting.size),
        stages=_stages(gathered),
        failing_hosts=tuple(_failing(name, host) for name, host in gathered.hosts.most_failed(TOP_HOSTS)),
        slow_hosts=tuple(
            SlowHost(name, formatting.seconds(host.mean), formatting.seconds(host.slowest), host.downloads)
            for name, host in gathered.hosts.slowest(TOP_HOSTS)
        ),
        hosts_note=_hosts_note(gathered),
        settings=settings_facts(settings),
        versions=versions_facts(),
    )


def _lead(summary: Summary, stored: int) -> str:
    """The run in a sentence."""
    if not summary.entries:
        return "The manifest was empty."
    of_all = f"All {formatting.count(stored)}" if stored > 1 else formatting.count(stored)
    if stored < summary.entries:
        of_all = f"{formatting.count(stored)} of {formatting.count(summary.entries)}"
    lead = f"{of_all} {'image is' if stored == 1 else 'images are'} stored"
    if summary.failed:
        lead += f", {formatting.count(summary.failed)} failed"
    if summary.not_attempted:
        verb = "was" if summary.not_attempted == 1 else "were"
        lead += f", {formatting.count(summary.not_attempted)} {verb} not attempted: launch the same manifest again"
    return lead + "."


def _parts(summary: Summary) -> tuple[Part, ...]:
    return tuple(
        Part(outcome.value, outcome.value.replace("_", " "), number, formatting.percent(number, summary.entries))
        for outcome in Outcome
        for number in (getattr(summary, outcome.value),)
    )


def _tiles(summary: Summary, gathered: RunStatistics) -> tuple[tuple[str, str], ...]:
    download = gathered.seconds[Stage.DOWNLOAD]
    return (
        (formatting.significant(summary.images_per_second), "images/s"),
        (formatting.seconds(summary.seconds), "wall time"),
        (formatting.size(summary.bytes_in), "downloaded"),
        (formatting.size(summary.bytes_out), "stored"),
        (formatting.seconds(download.quantile(0.5)) if download.total else "–", "median download"),
        (formatting.count(gathered.requests), f"requests; {formatting.count(gathered.retried)} entries tried again"),
    )


def _failures(summary: Summary, gathered: RunStatistics) -> tuple[Failure, ...]:
    most = max(summary.reasons.values(), default=1)
    return tuple(
        Failure(
            reason=name,
            number=number,
            share=formatting.percent(number, summary.failed),
            width=100 * number / most,
            meaning=MEANINGS[Reason(name)],
            statuses=_statuses(gathered) if name == Reason.HTTP_STATUS else (),
            examples=tuple(gathered.examples_of(Reason(name))),
        )
        for name, number in summary.reasons.items()
    )


def _statuses(gathered: RunStatistics) -> tuple[str, ...]:
    return tuple(f"{status} × {formatting.count(number)}" for status, number in gathered.statuses.most_common(STATUSES))


def _stages(gathered: RunStatistics) -> tuple[StageTime, ...]:
    return tuple(
        StageTime(
            stage.value,
            formatting.seconds(bins.sum / bins.total),
            formatting.seconds(bins.quantile(0.5)),
            formatting.seconds(bins.quantile(0.95)),
        )
        for stage, bins in gathered.seconds.items()
        if bins.total
    )


def _failing(name: str, host: Host) -> FailingHost:
    mostly = max(host.reasons.items(), key=lambda item: item[1])[0]
    return FailingHost(name, host.failed, host.entries, mostly)


def _hosts_note(gathered: RunStatistics) -> str:
    if gathered.hosts.complete:
        number = len(gathered.hosts)
        return (
            f"{formatting.count(number)} {'host' if number == 1 else 'hosts'}; time includes waiting and repeated tries"
        )
    return "of very many hosts, those with the most failures and the longest time; counts may leave early entries out"
