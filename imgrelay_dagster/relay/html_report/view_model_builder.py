"""Builds the content of the report from the results of a run."""

from collections.abc import Sequence
from urllib.parse import quote

from imgrelay_dagster.relay import formatting
from imgrelay_dagster.relay.html_report.charts import histogram_chart, timeline_chart
from imgrelay_dagster.relay.html_report.contact_sheet import Thumbnail
from imgrelay_dagster.relay.html_report.host_statistics import HostStatistics
from imgrelay_dagster.relay.html_report.run_facts import settings_facts, versions_facts
from imgrelay_dagster.relay.html_report.run_notes import local_time, origin_facts, warnings
from imgrelay_dagster.relay.html_report.shared_sources import shared_pictures
from imgrelay_dagster.relay.html_report.statistics import RunStatistics
from imgrelay_dagster.relay.html_report.view_model import (
    Difference,
    FailingHost,
    OutcomeShare,
    ReasonGroup,
    ReportPage,
    SheetImage,
    SlowHost,
    StageTime,
)
from imgrelay_dagster.relay.outcomes import MEANINGS, Outcome, Reason, Stage
from imgrelay_dagster.relay.records.comparison import WORDS
from imgrelay_dagster.relay.records.layout import results_prefix
from imgrelay_dagster.relay.records.summary import Summary
from imgrelay_dagster.relay.settings import Settings

TOP_HOSTS = 10
"""Hosts shown in each table."""

TOP_STATUSES = 8
"""HTTP statuses shown for reason `http_status`."""


def build_view_model(
    summary: Summary,
    settings: Settings,
    statistics: RunStatistics,
    thumbnails: Sequence[Thumbnail],
    shared_thumbnails: Sequence[Thumbnail] = (),
    *,
    now: float,
) -> ReportPage:
    """Format a run's results for the page. `now` is the page's creation time, in seconds since the epoch."""
    stored = summary.uploaded + summary.unchanged
    return ReportPage(
        dataset=summary.dataset,
        summary=summary,
        created=local_time(now, settings.origin.time_zone),
        lead=_lead(summary, settings, stored),
        stored=stored,
        results_prefix=results_prefix(summary.dataset, summary.run_id),
        outcomes=_outcomes(summary),
        tiles=_tiles(summary, statistics),
        failures=_failures(summary, statistics),
        warnings=warnings(summary, settings, statistics),
        origin=origin_facts(summary, settings, now),
        failed_columns=tuple(dict.fromkeys(name for row in statistics.failures for name in row.carried)),
        failed_rows=tuple(statistics.failures),
        failures_note=f"{formatting.count(summary.failed)} of {formatting.count(summary.entries)} entries, "
        f"{formatting.percent(summary.failed, summary.entries)}; "
        f"up to {settings.tolerated_failure_percentage:g} % are tolerated. "
        "Launch the same manifest again to retry the failures that may be temporary." + _not_asked_note(summary),
        images=tuple(
            SheetImage(
                thumbnail.stored.line,
                thumbnail.stored.key,
                thumbnail.uri,
                *thumbnail.image.size,
                link=_link_to(thumbnail.stored.key, summary),
                original=thumbnail.stored.original,
            )
            for thumbnail in thumbnails
        ),
        images_note=f"{len(thumbnails)} of {formatting.count(stored)} stored images, "
        + ("all of them" if len(thumbnails) == stored else "picked at random")
        + ", in manifest order",
        shared_lead=statistics.sources.sentence(),
        shared=shared_pictures(statistics.sources, {each.stored.key: each.uri for each in shared_thumbnails}),
        throughput=timeline_chart(statistics.timeline),
        pace_note=_pace_note(summary),
        download_time=histogram_chart(statistics.stage_seconds[Stage.DOWNLOAD], formatting.seconds),
        downloaded_size=histogram_chart(statistics.bytes_in, formatting.size),
        stored_size=histogram_chart(statistics.bytes_out, formatting.size),
        stages=_stages(statistics),
        failing_hosts=tuple(_failing_host(name, host) for name, host in statistics.hosts.most_failed(TOP_HOSTS)),
        slow_hosts=tuple(
            SlowHost(name, formatting.seconds(host.mean_seconds), formatting.seconds(host.max_seconds), host.downloads)
            for name, host in statistics.hosts.slowest(TOP_HOSTS)
        ),
        hosts_note=_hosts_note(statistics),
        compared=_differences(summary),
        compared_note=f"with run {summary.compared.run_id} of the same dataset" if summary.compared else "",
        settings=settings_facts(settings),
        versions=versions_facts(),
    )


def _link_to(key: str, summary: Summary) -> str:
    """The address of an image relative to the report, which lies below the same destination."""
    depth = results_prefix(summary.dataset, summary.run_id).count("/") + 1
    return "../" * depth + quote(key, errors="replace")


def _lead(summary: Summary, settings: Settings, stored: int) -> str:
    """Summarize the run in one sentence."""
    if not summary.entries:
        return "The manifest was empty."
    share = f"All {formatting.count(stored)}" if stored > 1 else formatting.count(stored)
    if stored < summary.entries:
        share = f"{formatting.count(stored)} of {formatting.count(summary.entries)}"
    lead = f"{share} {'image is' if stored == 1 else 'images are'} stored"
    if summary.failed:
        lead += f", {formatting.count(summary.failed)} failed"
    if summary.not_attempted:
        verb = "was" if summary.not_attempted == 1 else "were"
        lead += f", {formatting.count(summary.not_attempted)} {verb} not attempted: launch the same manifest again"
    if summary.failed and summary.status == "success":
        tolerated = f"up to {settings.tolerated_failure_percentage:g} % are tolerated"
        share = formatting.percent(summary.failed, summary.entries)
        lead += f" ({share}); the run counts as a success, because {tolerated}"
    return lead + "."


def _pace_note(summary: Summary) -> str:
    """How soon and how evenly images were stored; empty if that is not known."""
    notes = []
    if summary.first_image_seconds is not None:
        notes.append(f"first image stored {formatting.seconds(summary.first_image_seconds)} after the start of the run")
    if summary.largest_gap_seconds is not None:
        notes.append(f"at most {formatting.seconds(summary.largest_gap_seconds)} between two stored images")
    return "; ".join(notes)


def _outcomes(summary: Summary) -> tuple[OutcomeShare, ...]:
    return tuple(
        OutcomeShare(outcome.value, outcome.value.replace("_", " "), count, formatting.percent(count, summary.entries))
        for outcome in Outcome
        for count in (getattr(summary, outcome.value),)
    )


def _tiles(summary: Summary, statistics: RunStatistics) -> tuple[tuple[str, str], ...]:
    download = statistics.stage_seconds[Stage.DOWNLOAD]
    return (
        (formatting.significant(summary.images_per_second), "images/s"),
        (formatting.seconds(summary.seconds), "wall time"),
        (formatting.size(summary.bytes_in), "downloaded"),
        (formatting.size(summary.bytes_out), "stored"),
        (formatting.seconds(download.quantile(0.5)) if download.total else "–", "median download"),
        (formatting.count(statistics.requests), f"requests; {formatting.count(statistics.retried)} entries retried"),
    )


def _failures(summary: Summary, statistics: RunStatistics) -> tuple[ReasonGroup, ...]:
    largest = max(summary.reasons.values(), default=1)
    return tuple(
        ReasonGroup(
            reason=name,
            count=count,
            share=formatting.percent(count, summary.failed),
            width=100 * count / largest,
            meaning=MEANINGS[Reason(name)],
            statuses=_statuses(statistics) if name == Reason.HTTP_STATUS else (),
            examples=tuple(statistics.examples_of(Reason(name))),
        )
        for name, count in summary.reasons.items()
    )


def _not_asked_note(summary: Summary) -> str:
    if not summary.not_asked:
        return ""
    count = formatting.count(summary.not_asked)
    return f" {count} were not asked in this run, because they failed permanently before; --retry-permanent asks again."


def _statuses(statistics: RunStatistics) -> tuple[str, ...]:
    frequent = statistics.http_statuses.most_common(TOP_STATUSES)
    return tuple(f"{status} × {formatting.count(count)}" for status, count in frequent)


def _stages(statistics: RunStatistics) -> tuple[StageTime, ...]:
    return tuple(
        StageTime(
            stage.value,
            formatting.seconds(histogram.sum / histogram.total),
            formatting.seconds(histogram.quantile(0.5)),
            formatting.seconds(histogram.quantile(0.95)),
        )
        for stage, histogram in statistics.stage_seconds.items()
        if histogram.total
    )


def _failing_host(name: str, host: HostStatistics) -> FailingHost:
    main_reason = max(host.reasons.items(), key=lambda item: item[1])[0]
    return FailingHost(name, host.failed, host.entries, main_reason)


def _differences(summary: Summary) -> tuple[Difference, ...]:
    if summary.compared is None:
        return ()
    counts, examples = summary.compared.counts(), summary.compared.examples
    return tuple(Difference(WORDS[name], count, tuple(examples.get(name, ()))) for name, count in counts.items())


def _hosts_note(statistics: RunStatistics) -> str:
    if statistics.hosts.complete:
        count = len(statistics.hosts)
        return f"{formatting.count(count)} {'host' if count == 1 else 'hosts'}; times include waiting and retries"
    return (
        "the hosts with the most failures and the longest download time; there were too many to count all, so that "
        "early entries may be missing"
    )
