"""A run's progress from the notes of its steps."""

from pathlib import Path

from obstore.store import LocalStore

from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record, Stage
from imgrelay_dagster.relay.progress.notes import PLAN_NOTE, StepCounts, StepProgress, read_progress
from imgrelay_dagster.relay.staging.scratch_space import Staging


def test_unchanged_entries_need_no_later_stage(tmp_path: Path) -> None:
    staging = Staging(LocalStore(tmp_path), "run1")
    StepProgress(staging, PLAN_NOTE, StepCounts(None, 4, began=0.0)).write()
    ends = {
        Stage.DOWNLOAD: [Outcome.UNCHANGED, Outcome.FAILED, None, None],
        Stage.COMPOSE: [Outcome.UNCHANGED, None],
        Stage.UPLOAD: [Outcome.UPLOADED],
    }
    for stage, outcomes in ends.items():
        step = StepProgress(staging, stage.value, StepCounts(stage, len(outcomes)))
        for outcome in outcomes:
            step.count(Record(1, "http://h/a.jpg", outcome=outcome, reason=Reason.TIMEOUT if outcome else None))
        step.write()
    progress = read_progress(staging)
    assert progress.passed == {Stage.DOWNLOAD: 3, Stage.COMPOSE: 3, Stage.UPLOAD: 3}
    assert (progress.failed, progress.ended, progress.work) == (1, 4, 4)
