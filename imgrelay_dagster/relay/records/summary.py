"""`summary.json`: the counts of a run."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from obstore.exceptions import BaseError
from obstore.store import ObjectStore
from pydantic import TypeAdapter, ValidationError

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.records.comparison import Comparison
from imgrelay_dagster.relay.records.forecast import Forecast
from imgrelay_dagster.relay.records.layout import summary_key
from imgrelay_dagster.relay.storage.error_text import explain, is_missing_bucket
from imgrelay_dagster.relay.storage.objects import put_object

PARTIAL = "partial"
"""Status of a coordinator while one of its shards has no results yet."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The content of `summary.json`.

    `status` is `success`, `failure` or `canceled`, or `partial` while a coordinator waits for its shard runs.
    `bytes_in` are the bytes that this run downloaded, `bytes_out` those that it stored. `seconds` is its wall time,
    `images_per_second` the number of uploaded images divided by it. `first_image_seconds` are the seconds from its
    start until the first image was stored, `largest_gap_seconds` the most seconds between two stored images; None if
    it stored too few, and in summaries of earlier versions. `not_asked` of the failed entries were not asked for in
    this run, because an earlier failure is remembered as permanent. `whole_list` is false if the lines of the run are
    known to be a part of its dataset's. `shared_sources` are the pictures that answered the most URLs: their number by
    the picture's SHA-256. `compared` says what is different from the previous run of the dataset. `started_at` and
    `ended_at` are times in UTC; empty in summaries of earlier versions. `adjusted` tells what was changed about the run
    while it was under way, in the words of `relay/adjustments.py`. `forecast` says what the whole list of a sample
    would take. `stage_seconds` are the seconds that the images took in each stage, all together. `failures_by_host`
    counts the failures of entries that this run asked for, by class of hosts and reason.
    """

    run_id: str
    dataset: str
    status: str
    entries: int
    uploaded: int
    unchanged: int
    failed: int
    not_attempted: int
    reasons: dict[str, int]
    bytes_in: int
    bytes_out: int
    seconds: float
    images_per_second: float
    first_image_seconds: float | None = None
    largest_gap_seconds: float | None = None
    not_asked: int = 0
    whole_list: bool = True
    shared_sources: dict[str, int] = field(default_factory=dict)
    forecast: Forecast | None = None
    adjusted: str = ""
    compared: Comparison | None = None
    started_at: str = ""
    ended_at: str = ""
    stage_seconds: dict[str, float] = field(default_factory=dict)
    failures_by_host: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def failed_percentage(self) -> float:
        """Share of the entries that failed, 0 to 100."""
        return 100.0 * self.failed / self.entries if self.entries else 0.0


summary_json = TypeAdapter(Summary)


def sum_summaries(parts: Iterable[Summary], run_id: str, dataset: str, status: str, seconds: float) -> Summary:
    """The summary of a coordinator: the sum of its shards' summaries, and `seconds` of its own wall time."""
    parts = list(parts)
    reasons = Counter[str]()
    for part in parts:
        reasons.update(part.reasons)
    seconds += sum(part.seconds for part in parts)
    uploaded = sum(part.uploaded for part in parts)
    return Summary(
        run_id=run_id,
        dataset=dataset,
        status=status,
        entries=sum(part.entries for part in parts),
        uploaded=uploaded,
        unchanged=sum(part.unchanged for part in parts),
        failed=sum(part.failed for part in parts),
        not_attempted=sum(part.not_attempted for part in parts),
        reasons=dict(reasons.most_common()),
        bytes_in=sum(part.bytes_in for part in parts),
        bytes_out=sum(part.bytes_out for part in parts),
        seconds=round(seconds, 3),
        images_per_second=round(uploaded / seconds, 2) if seconds > 0 else 0.0,
        not_asked=sum(part.not_asked for part in parts),
        whole_list=all(part.whole_list for part in parts),
    )


def dump_summary(summary: Summary, indent: int | None = None) -> bytes:
    """A summary as JSON. What is as it nearly always is, such as `whole_list`, is left out."""
    usual = {
        "whole_list": summary.whole_list,
        "shared_sources": not summary.shared_sources,
        "forecast": summary.forecast is None,
        "adjusted": not summary.adjusted,
        "compared": summary.compared is None,
        "started_at": not summary.started_at,
        "ended_at": not summary.ended_at,
        "stage_seconds": not summary.stage_seconds,
        "failures_by_host": not summary.failures_by_host,
    }
    return summary_json.dump_json(
        summary, indent=indent, exclude={name for name, left_out in usual.items() if left_out}
    )


def write_summary(store: ObjectStore, summary: Summary) -> None:
    """Write a run's `summary.json`."""
    data = dump_summary(summary, indent=2) + b"\n"
    put_object(store, summary_key(summary.dataset, summary.run_id), data, "application/json")


def read_summary(store: ObjectStore, dataset: str, run_id: str) -> Summary | None:
    """A run's summary; None when there is none, or it is not valid JSON.

    Raises:
        RelayError: the destination cannot be read.
    """
    try:
        return summary_json.validate_json(bytes(store.get(summary_key(dataset, run_id)).bytes()))
    except ValidationError:  # cut off by a loss of power
        return None
    except (BaseError, OSError) as error:
        if isinstance(error, FileNotFoundError) and not is_missing_bucket(error):
            return None
        raise RelayError(f"the destination cannot be read: {explain(error)}") from error
