"""`summary.json`: what became of a run, and where its results lie."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from obstore.exceptions import BaseError
from obstore.store import ObjectStore
from pydantic import TypeAdapter, ValidationError

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.records.layout import results_prefix
from imgrelay_dagster.relay.storage.stores import explain, is_missing_bucket, put_object


@dataclass(frozen=True, slots=True)
class Summary:
    """`summary.json`: what became of a run.

    `status` is `success`, `failure` or `canceled`, or `partial` while a run's shards go on. `bytes_in` and `bytes_out`
    are what this run downloaded and stored; `seconds` is its wall time and `images_per_second` what it uploaded in it.
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

    @property
    def failed_percentage(self) -> float:
        """Share of the entries that failed, 0 to 100."""
        return 100.0 * self.failed / self.entries if self.entries else 0.0


summary_json = TypeAdapter(Summary)


def add_up(parts: Iterable[Summary], run_id: str, dataset: str, status: str, seconds: float) -> Summary:
    """The summary of a run whose work other runs have done, after `seconds` of its own."""
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
    )


def store_summary(store: ObjectStore, summary: Summary) -> None:
    """Put `summary.json` where the run's results lie."""
    key = f"{results_prefix(summary.dataset, summary.run_id)}/summary.json"
    put_object(store, key, summary_json.dump_json(summary, indent=2) + b"\n", "application/json")


def read_summary(store: ObjectStore, dataset: str, run_id: str) -> Summary | None:
    """A run's summary, or None when none was written.

    Raises:
        RelayError: the destination cannot be read.
    """
    try:
        return summary_json.validate_json(bytes(store.get(f"{results_prefix(dataset, run_id)}/summary.json").bytes()))
    except ValidationError:  # a machine lost its power while it was written
        return None
    except (BaseError, OSError) as error:
        if isinstance(error, FileNotFoundError) and not is_missing_bucket(error):
            return None
        raise RelayError(f"the destination cannot be read: {explain(error)}") from error


PARTIAL = "partial"
"""Status of a coordinator some of whose shards have no results yet."""
