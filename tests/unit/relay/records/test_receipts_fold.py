"""Properties of receipts and results: each line counts once, even if receipts are lost or duplicated."""

import json
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from obstore.store import MemoryStore

from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.manifest.rows import ManifestRow
from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record
from imgrelay_dagster.relay.planning.plan import Plan
from imgrelay_dagster.relay.planning.planner import plan_run
from imgrelay_dagster.relay.records.layout import run_receipts_prefix
from imgrelay_dagster.relay.records.receipts import record_json
from imgrelay_dagster.relay.records.summary import Summary
from imgrelay_dagster.relay.results.fold import write_results
from imgrelay_dagster.relay.settings import Settings
from tests.support.results import merge_all

SETTINGS = Settings(dataset="birds", destination="memory")
LINES = 6

ends = st.tuples(st.integers(1, LINES), st.sampled_from([Outcome.UPLOADED, Outcome.FAILED]), st.integers(0, 50))
"""A receipt: its line, its outcome, and its time."""


@dataclass(frozen=True)
class Written:
    """One writer's object: its receipts, and the share of its bytes that survived."""

    ends: list[tuple[int, Outcome, int]]
    kept: float

    def complete(self, data: bytes) -> list[tuple[int, Outcome, int]]:
        """The receipts that survived completely."""
        lines = data[: self.size(data)].split(b"\n")
        full = data.split(b"\n")
        return [end for end, line, wanted in zip(self.ends, lines, full, strict=False) if line == wanted]

    def size(self, data: bytes) -> int:
        return round(self.kept * len(data))


objects = st.lists(st.builds(Written, st.lists(ends, max_size=5), st.one_of(st.just(1.0), st.floats(0, 1))), max_size=5)


def plan(store: MemoryStore, run_id: str, folder: Path, urls: list[int]) -> Plan:
    (folder / run_id).mkdir()
    rows = [ManifestRow(line, f"http://h/{url}.jpg") for line, url in enumerate(urls, 1)]
    templates = TemplateFolder.shipped()
    return plan_run(rows, SETTINGS, run_id=run_id, store=store, templates=templates, scratch=folder / run_id)


def records_of(made: Plan) -> dict[int, Record]:
    return {record.line: record for task in made.tasks() for record in task.records}


def ended(record: Record, outcome: Outcome, at: int) -> Record:
    reason = Reason.TIMEOUT if outcome is Outcome.FAILED else None
    return replace(record, outcome=outcome, reason=reason, at=float(at), sha256=f"{record.line} {at}")


def fold(store: MemoryStore) -> tuple[Summary, list[dict[str, object]]]:
    summary = write_results(store, "birds", run_id="run1", seconds=1.0)
    assert summary is not None
    rows = bytes(store.get("_relay/birds/runs/run1/results.jsonl").bytes()).splitlines()
    return summary, [json.loads(row) for row in rows]


@settings(deadline=None, max_examples=80)
@given(objects, st.lists(st.integers(1, 4), min_size=LINES, max_size=LINES), st.booleans())
def test_every_line_has_its_latest_surviving_outcome_and_the_next_run_relays_the_rest(
    written: list[Written], urls: list[int], merged: bool
):
    store = MemoryStore()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        planned = records_of(plan(store, "run1", folder, urls))
        candidates: dict[int, list[tuple[int, int, Outcome]]] = {}
        for number, part in enumerate(written):
            known = replace(part, ends=[end for end in part.ends if end[0] in planned])
            lines = [record_json.dump_json(ended(planned[line], outcome, at)) for line, outcome, at in known.ends]
            data = b"".join(line + b"\n" for line in lines)
            store.put(f"{run_receipts_prefix('birds', 'run1')}/w-{number}.jsonl", data[: known.size(data)])
            complete = known.complete(data)
            newest = max((at for _, _, at in complete), default=0)
            for line, outcome, at in complete:
                # All objects are stored at the same moment, which is the time of the newest receipt in each.
                candidates.setdefault(line, []).append((at - newest, at, outcome))
        survived = {line: max(found)[1:] for line, found in candidates.items()}
        ties = {
            line for line, found in candidates.items() if len({each for each in found if each[0] == max(found)[0]}) > 1
        }
        if merged:
            prefix = run_receipts_prefix("birds", "run1")
            merge_all(store, prefix, folder)
        summary, rows = fold(store)

        assert [row["line"] for row in rows] == list(range(1, LINES + 1))
        counts = Counter(row["outcome"] for row in rows)
        parts = ("uploaded", "unchanged", "failed", "not_attempted")
        assert {name: getattr(summary, name) for name in parts} == {name: counts[name] for name in parts}
        assert summary.entries == LINES
        for row, url in zip(rows, urls, strict=True):
            line = urls.index(url) + 1
            if line in ties:
                continue
            at, outcome = survived.get(line, (None, Outcome.NOT_ATTEMPTED))
            assert row["outcome"] == outcome
            assert row["sha256"] == (None if at is None else f"{line} {at}")
        assert write_results(store, "birds", run_id="run1", seconds=9.0) == summary

        left = records_of(plan(store, "run2", folder, urls))
        done = {line for line, (_, outcome) in survived.items() if outcome is Outcome.UPLOADED} - ties
        assert set(left) - ties == set(planned) - done - ties
