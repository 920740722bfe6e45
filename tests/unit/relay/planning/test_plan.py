"""The plan of a run: its tasks."""

from pathlib import Path

from obstore.store import MemoryStore

from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.manifest.rows import ManifestRow
from imgrelay_dagster.relay.planning.planner import plan_run
from imgrelay_dagster.relay.settings import Settings


def test_the_ledgers_file_may_be_deleted_before_the_tasks_are_iterated(tmp_path: Path) -> None:
    plan = plan_run(
        [ManifestRow(line, f"http://h/{line}.jpg") for line in range(1, 6)],
        Settings(dataset="birds", destination="memory", urls_per_task=2),
        run_id="run1",
        store=MemoryStore(),
        templates=TemplateFolder.shipped(),
        scratch=tmp_path,
    )
    tasks = plan.tasks(skip=1)
    (tmp_path / "ledger.gz").unlink()
    assert [[record.line for record in task.records] for task in tasks] == [[2, 3], [4, 5]]
