"""A coordinator and its shard runs, without Dagster."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from obstore.store import MemoryStore

from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.manifest.rows import BadRow, ManifestRow, Row
from imgrelay_dagster.relay.outcomes import Outcome
from imgrelay_dagster.relay.planning.plan import Plan
from imgrelay_dagster.relay.planning.planner import plan_run
from imgrelay_dagster.relay.planning.shards import shard_rows
from imgrelay_dagster.relay.records.layout import run_receipts_prefix
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.records.summary import Summary, read_summary
from imgrelay_dagster.relay.results.fold import write_results
from imgrelay_dagster.relay.results.shard_merge import write_shard_plan
from imgrelay_dagster.relay.settings import Settings, Shard

WHOLE = Settings(dataset="birds", destination="memory", max_entries_per_run=25, tolerated_failure_percentage=10)
ROWS: list[Row] = [ManifestRow(line, f"http://h/{line}.jpg") for line in range(1, 58)]
ROWS += [
    ManifestRow(58, "http://h/1.jpg"),  # repeats line 1
    ManifestRow(59, "http://h/other.jpg", key="own.jpg"),
    ManifestRow(60, "http://h/another.jpg", key="own.jpg", template="badge.png"),  # has line 59's key
    BadRow(61, "{", "broken JSON"),
    ManifestRow(62, "ftp://h/x"),
]
LINES = [row.line for row in ROWS]


class ShardedRuns:
    """A coordinator and its shard runs, planned and finished in a destination in memory."""

    def __init__(self, folder: Path) -> None:
        self.store = MemoryStore()
        self._folder = folder

    def plan(self, run_id: str, settings: Settings = WHOLE, rows: list[Row] = ROWS) -> Plan:
        scratch = self._folder / run_id
        scratch.mkdir()
        return plan_run(
            rows, settings, run_id=run_id, store=self.store, templates=TemplateFolder.shipped(), scratch=scratch
        )

    def coordinate(self, rows: list[Row] = ROWS) -> Summary:
        made = self.plan("whole", rows=rows)
        return write_shard_plan(self.store, "birds", "whole", shards=made.shards, seconds=1.0)

    def shard(
        self, number: int, run_id: str, *, of: int = 3, done: int | None = None, status: str | None = None
    ) -> Summary:
        """Plan one of the shards and finish it, with `done` of its entries uploaded, or all of them."""
        shard = Shard("whole", number, of)
        made = self.plan(
            run_id, replace(WHOLE, shard=shard, whole_list=False), list(shard_rows(self.store, "birds", shard))
        )
        assert made.shards == 0
        records = [record for task in made.tasks() for record in task.records]
        with ReceiptWriter(self.store, run_receipts_prefix("birds", run_id), "upload-x") as writer:
            for record in records[:done]:
                writer.add(replace(record, outcome=Outcome.UPLOADED, attempts=1, bytes_in=10, bytes_out=7, at=5.0))
        summary = write_results(self.store, "birds", run_id=run_id, seconds=2.0, status=status)
        assert summary is not None
        return summary

    def result_lines(self, name: str, run_id: str = "whole") -> list[dict[str, Any]]:
        data = bytes(self.store.get(f"_relay/birds/runs/{run_id}/{name}").bytes())
        return [json.loads(line) for line in data.splitlines()]

    def summary(self) -> Summary:
        found = read_summary(self.store, "birds", "whole")
        assert found is not None
        return found
