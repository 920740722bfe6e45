"""The results of shard runs, told as those of the run that was cut into them.

Each shard run leaves its summary beside the coordinator's `plan.json`. After each of them the coordinator's summary is
added up anew; its other results are joined once, after the last one, for that takes as long as there are lines.
"""

import heapq
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from obstore.exceptions import BaseError
from obstore.store import ObjectStore
from pydantic import ValidationError

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Outcome, Record
from imgrelay_dagster.relay.planning.shards import ShardPlan, cut_json, read_shard_plan, shard_number
from imgrelay_dagster.relay.records.layout import results_prefix, shards_ledger_key, shards_prefix
from imgrelay_dagster.relay.records.ledger import Ledger, Planned, read_ledger
from imgrelay_dagster.relay.records.receipts import pieces, record_json
from imgrelay_dagster.relay.records.summary import PARTIAL, Summary, add_up, store_summary, summary_json
from imgrelay_dagster.relay.results.writer import upload_results, write_result_files
from imgrelay_dagster.relay.settings import Shard
from imgrelay_dagster.relay.storage.stores import explain, put_object


def write_shard_plan(store: ObjectStore, dataset: str, coordinator: str, *, shards: int, seconds: float) -> Summary:
    """Ask for shards, once the coordinator's ledger is in its place; its results say what is decided already.

    Raises:
        RelayError: the destination cannot be written.
    """
    shares = [Counter[str]() for _ in range(shards)]
    reasons = [Counter[str]() for _ in range(shards)]

    def share(record: Record) -> None:
        number = shard_number(record, shards) - 1
        shares[number][record.outcome or ""] += 1
        if record.outcome is Outcome.FAILED and record.reason is not None:
            reasons[number][record.reason.value] += 1

    try:
        summary = _join(store, dataset, coordinator, {}, seconds=seconds, status=PARTIAL, seen=share)
    except (BaseError, OSError) as error:
        raise RelayError(f"results of run {coordinator} cannot be written: {explain(error)}") from error
    assert summary is not None
    cut = ShardPlan(seconds, [_untouched(dataset, *counted) for counted in zip(shares, reasons, strict=True)])
    _put(store, f"{shards_prefix(dataset, coordinator)}/plan.json", cut_json.dump_json(cut))
    return summary


def _untouched(dataset: str, outcomes: Counter[str], reasons: Counter[str]) -> Summary:
    """What there is to say of a shard before any run of it."""
    return Summary(
        run_id="",
        dataset=dataset,
        status=PARTIAL,
        entries=outcomes.total(),
        uploaded=0,
        unchanged=outcomes[Outcome.UNCHANGED],
        failed=outcomes[Outcome.FAILED],
        not_attempted=outcomes[Outcome.NOT_ATTEMPTED],
        reasons=dict(reasons),
        bytes_in=0,
        bytes_out=0,
        seconds=0.0,
        images_per_second=0.0,
    )


def add_part(store: ObjectStore, dataset: str, shard: Shard, part: Summary) -> Summary | None:
    """Let a run's results stand for its shard, in place of another run's, and tell of them in the coordinator's.

    A run that left more undone than the other never takes its place: one that was lost may get its results only after
    the run that was started in its place has ended.

    Returns:
        The coordinator's summary; None when its records are gone.

    Raises:
        RelayError: the destination cannot be read or written.
    """
    key = f"{shards_prefix(dataset, shard.coordinator)}/{shard.number}.json"
    other = _parts(store, dataset, shard.coordinator).get(shard.number)
    if other is None or part.not_attempted <= other.not_attempted:
        _put(store, key, summary_json.dump_json(part))
    return join(store, dataset, shard.coordinator)


def add_missing_part(
    store: ObjectStore, dataset: str, shard: Shard, *, run_id: str, status: str, seconds: float
) -> Summary | None:
    """The same for a run that ended before it was planned: nothing of its shard was attempted.

    Raises:
        RelayError: the destination cannot be read or written.
    """
    cut = read_shard_plan(store, dataset, shard.coordinator)
    if cut is None or not 1 <= shard.number <= cut.shards:
        return None
    untouched = replace(cut.shares[shard.number - 1], run_id=run_id, status=status, seconds=round(seconds, 3))
    return add_part(store, dataset, shard, untouched)


def join(store: ObjectStore, dataset: str, coordinator: str) -> Summary | None:
    """Tell in a coordinator's results what its shards have come to. Doing it again changes nothing.

    Until there is something to say of every shard, only the summary is written anew. A shard that ended meanwhile may
    have written its own version in between: whoever writes last looks once more, so that none is left out.

    Returns:
        The coordinator's summary; None when its records are gone.

    Raises:
        RelayError: the destination cannot be read or written.
    """
    cut = read_shard_plan(store, dataset, coordinator)
    if cut is None:
        return None
    try:
        parts = _parts(store, dataset, coordinator)
        while True:
            summary = _told(store, dataset, coordinator, cut, parts)
            known, parts = parts, _parts(store, dataset, coordinator)
            if parts == known:
                return summary
    except (BaseError, OSError) as error:
        raise RelayError(f"results of run {coordinator} cannot be joined: {explain(error)}") from error


def _told(
    store: ObjectStore, dataset: str, coordinator: str, cut: ShardPlan, parts: dict[int, Summary]
) -> Summary | None:
    shares = [parts.get(number, share) for number, share in enumerate(cut.shares, 1)]
    together = add_up(shares, coordinator, dataset, PARTIAL, cut.seconds)
    if len(parts) < cut.shards:
        store_summary(store, together)
        return together
    canceled = together.not_attempted and "canceled" in {part.status for part in parts.values()}
    status = "canceled" if canceled else None
    return _join(store, dataset, coordinator, parts, seconds=together.seconds, status=status)


def _join(
    store: ObjectStore,
    dataset: str,
    coordinator: str,
    parts: dict[int, Summary],
    *,
    seconds: float,
    status: str | None,
    seen: Callable[[Record], None] = lambda _: None,
) -> Summary | None:
    """Write all of a coordinator's results, each of its ledger's lines as the shards that have results tell of it."""
    ledger = read_ledger(store, dataset, coordinator, shards_ledger_key)
    if ledger is None:
        return None
    with ledger, tempfile.TemporaryDirectory(prefix="imgrelay-") as name, ExitStack() as opened:
        scratch = Path(name)
        found = (
            _fetched(store, f"{results_prefix(dataset, part.run_id)}/results.jsonl", scratch) for part in parts.values()
        )
        files = [opened.enter_context(file) for file in found if file is not None]

        def records() -> Iterator[Record]:
            for record in _joined(ledger, files):
                seen(record)
                yield record

        told = write_result_files(records(), ledger.settings, scratch, coordinator)
        return upload_results(store, told, scratch, seconds=seconds, status=status)


def _joined(ledger: Ledger, results: list[IO[bytes]]) -> Iterator[Record]:
    """Each line of the coordinator's ledger with what its shard tells of it, if it tells something already."""
    told = heapq.merge(*(map(record_json.validate_json, lines) for lines in results), key=lambda record: record.line)
    following = next(told, None)
    for planned in ledger:
        while following is not None and following.line < planned.record.line:
            following = next(told, None)
        if following is not None and following.line == planned.record.line:
            yield replace(following, template=planned.record.template)
        else:
            yield _untold(planned)


def _untold(planned: Planned) -> Record:
    record = planned.record
    return record if record.outcome is not None else replace(record, outcome=Outcome.NOT_ATTEMPTED)


def _parts(store: ObjectStore, dataset: str, coordinator: str) -> dict[int, Summary]:
    found = {}
    prefix = shards_prefix(dataset, coordinator)
    for chunk in store.list(prefix):
        for meta in chunk:
            name = meta["path"].rpartition("/")[2].removesuffix(".json")
            if name.isdecimal():
                with suppress(ValidationError):  # a machine lost its power while it was written
                    found[int(name)] = summary_json.validate_json(bytes(store.get(meta["path"]).bytes()))
    return found


def _fetched(store: ObjectStore, key: str, scratch: Path) -> IO[bytes] | None:
    """An object on scratch disk: it is fetched at once, however slowly it is read then. None when it was deleted."""
    path = scratch / key.replace("/", "_")
    try:
        with path.open("wb") as file:
            for piece in pieces(store, store.head(key)):
                file.write(piece)
    except FileNotFoundError:
        return None
    return path.open("rb")


def _put(store: ObjectStore, key: str, data: bytes) -> None:
    try:
        put_object(store, key, data, "application/json")
    except (BaseError, OSError) as error:
        raise RelayError(f"{key!r} cannot be written: {explain(error)}") from error
