"""A run's progress: notes, announcements and the terminal display."""

import io
from pathlib import Path

import pytest
from obstore.store import LocalStore
from rich.console import Console

from imgrelay_dagster.commands.progress_display import Display
from imgrelay_dagster.demo.seaweed import SeaweedFS
from imgrelay_dagster.relay.formatting import most_frequent
from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record, Stage
from imgrelay_dagster.relay.progress.announcer import ANNOUNCE_INTERVAL, Announcer, sentence
from imgrelay_dagster.relay.progress.notes import (
    ESTIMATE_DELAY,
    PLAN_NOTE,
    RunProgress,
    StepCounts,
    StepProgress,
    planned_at,
    read_progress,
)
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.storage.stores import open_store
from tests.support.s3_proxy import Fault, FaultyS3, Request

HALFWAY = RunProgress(
    entries=300,
    passed={Stage.DOWNLOAD: 180, Stage.COMPOSE: 150, Stage.UPLOAD: 90},
    reasons={"http_status": 6, "timeout": 3, "dns_error": 1},
    began=1000.0,
)


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(LocalStore(tmp_path), "run1")


def write_notes(staging: Staging) -> None:
    StepProgress(staging, PLAN_NOTE, StepCounts(None, 10, began=1000.0)).write()
    for stage, ends in ((Stage.DOWNLOAD, [None, None, Reason.TIMEOUT]), (Stage.UPLOAD, [None, Reason.UPLOAD_ERROR])):
        step = StepProgress(staging, stage.value, StepCounts(stage, 5))
        for line, reason in enumerate(ends, 1):
            outcome = Outcome.FAILED if reason else None
            step.count(Record(line, "http://h/a", outcome=outcome, reason=reason))
        step.write()


def test_the_notes_of_all_steps_add_up(staging: Staging):
    assert planned_at(staging) is None
    assert read_progress(staging).entries is None
    write_notes(staging)
    staging.put_note("halt", b"the store is gone")
    progress = read_progress(staging)
    assert planned_at(staging) == progress.began == 1000.0
    assert (progress.entries, progress.ended, progress.failed) == (10, 3, 2)
    assert progress.passed == {Stage.DOWNLOAD: 2, Stage.COMPOSE: 0, Stage.UPLOAD: 1}
    assert progress.reasons == {"timeout": 1, "upload_error": 1}


def test_rate_and_time_left_are_computed_from_all_stages():
    assert HALFWAY.work == 140 + 10
    assert HALFWAY.rate(1050.0) == 3.0
    assert HALFWAY.seconds_left(1050.0) == 50.0
    assert HALFWAY.seconds_left(1000.0 + ESTIMATE_DELAY - 1) is None
    assert HALFWAY.rate(999.0) is None
    assert RunProgress().seconds_left(1050.0) is None


def test_the_sentence_has_counts_rate_and_time_left():
    assert sentence(HALFWAY, 1050.0) == (
        "100 of 300 done, 10 failed (6 http_status, 3 timeout, 1 dns_error), 3 images/s, about 50 s left, "
        "downloaded 180, composed 150, stored 90 of 300"
    )
    assert sentence(RunProgress(entries=5, began=1000.0), 1001.0) == (
        "0 of 5 done, downloaded 0, composed 0, stored 0 of 5"
    )


def test_only_the_most_frequent_reasons_are_named():
    assert most_frequent({"a": 1, "b": 1_500, "c": 3, "d": 2}) == "1,500 b, 3 c, 2 d ..."


def test_all_steps_together_announce_once_in_each_interval(staging: Staging):
    """Three steps check four times a second for three intervals; the first interval has no announcement."""
    write_notes(staging)
    now = [1000.0]
    announced: list[RunProgress] = []
    steps = [Announcer(staging, 1000.0, announced.append, clock=lambda: now[0]) for _ in range(3)]
    while now[0] < 1000.0 + 3 * ANNOUNCE_INTERVAL:
        for step in steps:
            step.check()
        now[0] += 0.25
    assert len(announced) == 2
    assert announced[0].ended == 3


def test_steps_shorter_than_an_interval_announce_too(staging: Staging):
    announced: list[RunProgress] = []
    for at in (1001.0, 1012.0, 1014.0, 1023.0):
        Announcer(staging, 1000.0, announced.append, clock=lambda at=at: at).check()
    assert len(announced) == 2


def test_notes_in_s3_are_read_concurrently_and_deleted_ones_are_skipped(
    seaweed: SeaweedFS, monkeypatch: pytest.MonkeyPatch
):
    seaweed.create_bucket("notes")

    def fault_for(request: Request) -> Fault | None:
        if request.method != "GET" or "/notes/upload-" not in request.key:
            return None
        seaweed.client().delete_object(Bucket="notes", Key="run1/notes/upload-9")  # the last one of the listing
        return Fault(delay=0.5)

    with FaultyS3(seaweed, fault_for) as proxy:
        for name, value in proxy.environment().items():
            monkeypatch.setenv(name, value)
        staging = Staging(open_store("s3://notes"), "run1")
        for number in range(40):
            StepProgress(staging, f"upload-{number}", StepCounts(Stage.UPLOAD, 5, passed=3)).write()
        assert read_progress(staging).passed[Stage.UPLOAD] == 39 * 3
        assert proxy.most_delayed >= 4


def test_nothing_is_announced_before_the_run_is_planned(staging: Staging):
    announced: list[RunProgress] = []
    Announcer(staging, None, announced.append).check()
    assert announced == []


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_display_fits_its_terminal(width: int):
    display = Display()
    for progress, word in ((None, "starting"), (RunProgress(), "planning"), (HALFWAY, "relaying")):
        display.show(progress, 1050.0)
        console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
        console.print(display)
        lines = console.file.getvalue().splitlines()
        assert word in lines[0]
        assert max(map(len, lines)) <= width
    assert len(lines) == 4
    assert "100 of 300 done, 3 images/s" in lines[1]
    assert lines[2].strip().startswith("downloaded 180, composed 150, stored ")
    assert "10 failed: 6 http_status" in lines[3]
    if width >= 80:
        assert sentence(HALFWAY, 1050.0).endswith(lines[2].strip())  # the same words as in the log
        assert " 50 % " in lines[0]
        assert "0:50 left" in lines[0]
