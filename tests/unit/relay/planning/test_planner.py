"""Planning: what is left to do, line by line, and the ledger of every line."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from obstore.store import LocalStore, MemoryStore, ObjectStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.imaging.output import Format, Output
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.manifest.rows import BadRow, ManifestRow, Row
from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record
from imgrelay_dagster.relay.planning.planner import Plan, check_destination, plan_run
from imgrelay_dagster.relay.records.layout import run_receipts
from imgrelay_dagster.relay.records.ledger import Planned, read_ledger
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.results.fold import write_results
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.staging.tasks import LARGEST_TASK, PER_URL_LIMIT, SMALLEST_TASK, cut, entries_per_task

SETTINGS = Settings(dataset="birds", destination="memory")
Planner = Callable[..., tuple[Plan, list[Planned]]]


def rows(*urls: str) -> list[Row]:
    return [ManifestRow(line, url) for line, url in enumerate(urls, 1)]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def planned(store: MemoryStore, tmp_path: Path) -> Planner:
    """Plans a run over the test's store; every call is a run of its own."""
    numbers = itertools.count(1)

    def plan(lines: list[Row], settings: Settings = SETTINGS) -> tuple[Plan, list[Planned]]:
        run_id = f"run{next(numbers)}"
        scratch = tmp_path / run_id
        scratch.mkdir()
        made = plan_run(
            lines,
            settings,
            run_id=run_id,
            store=store,
            templates=TemplateFolder.shipped(),
            scratch=scratch,
        )
        ledger = read_ledger(store, settings.dataset, run_id)
        assert ledger is not None
        with ledger:
            assert ledger.settings == settings
            return made, list(ledger)

    return plan


def finish(store: ObjectStore, run_id: str, records: list[Record], **fields: object) -> None:
    """Write receipts as if a run had ended these entries."""
    with ReceiptWriter(store, run_receipts("birds", run_id), "upload-x") as writer:
        for record in records:
            values = {"outcome": Outcome.UPLOADED, "at": 1.0, "bytes_out": 5, "sha256": "ab", **fields}
            writer.add(replace(record, **values))


def tasks_of(plan: Plan) -> list[Record]:
    return [record for task in plan.tasks() for record in task.records]


def test_every_line_is_in_the_ledger_in_order(planned: Planner):
    plan, ledger = planned(
        [*rows("http://h/a.jpg", "ftp://h/b"), BadRow(3, "{", "broken JSON"), *rows("http://h/c")[:0]]
    )
    assert [line.record.line for line in ledger] == [1, 2, 3]
    assert [line.record.reason for line in ledger] == [None, Reason.BAD_URL, Reason.INVALID_ENTRY]
    assert (plan.entries, plan.left, plan.decided) == (3, 1, {"failed": 2})


def test_a_repeated_line_is_relayed_once(planned: Planner):
    plan, ledger = planned(rows("http://h/a.jpg", "http://h/b.jpg", "http://h/a.jpg"))
    assert [line.same_as for line in ledger] == [None, None, 1]
    assert [record.line for record in tasks_of(plan)] == [1, 2]


def test_two_urls_that_claim_one_key_conflict(planned: Planner):
    lines: list[Row] = [ManifestRow(1, "http://h/a", key="x.jpg"), ManifestRow(2, "http://h/b", key="x.jpg")]
    _, ledger = planned(lines)
    assert [line.record.reason for line in ledger] == [None, Reason.KEY_CONFLICT]
    assert ledger[1].record.detail == "line 1 already claims the key 'x.jpg'"


def test_an_unsafe_key_makes_the_entry_invalid(planned: Planner):
    _, ledger = planned([ManifestRow(1, "http://h/a", key="../x.jpg"), ManifestRow(2, "http://h/a", key="_relay/x")])
    assert [line.record.reason for line in ledger] == [Reason.INVALID_ENTRY] * 2


def test_a_missing_template_fails_its_entry_only(planned: Planner):
    plan, ledger = planned([ManifestRow(1, "http://h/a", template="no.png"), ManifestRow(2, "http://h/b")])
    assert ledger[0].record.reason is Reason.TEMPLATE_MISSING
    assert "it holds badge.png, frame.png" in (ledger[0].record.detail or "")
    assert plan.left == 1


def test_the_runs_own_template_must_be_there(planned: Planner):
    with pytest.raises(RelayError, match=r"template 'no.png' not found in .*; it holds badge.png, frame.png"):
        planned(rows("http://h/a"), replace(SETTINGS, template="no.png"))


def test_what_receipts_say_is_done_is_left_out(planned: Planner, store: MemoryStore):
    plan, _ = planned(rows("http://h/a.jpg", "http://h/b.jpg"))
    finish(store, "run1", tasks_of(plan)[:1])
    plan, ledger = planned(rows("http://h/a.jpg", "http://h/b.jpg"))
    assert [line.record.outcome for line in ledger] == [Outcome.UNCHANGED, None]
    assert (ledger[0].record.bytes_out, ledger[0].record.sha256) == (5, "ab")
    assert [record.line for record in tasks_of(plan)] == [2]


@pytest.mark.parametrize(
    "changed",
    [
        replace(SETTINGS, template="badge.png"),
        replace(SETTINGS, layout=replace(SETTINGS.layout, opacity=0.5)),
        replace(SETTINGS, output=Output(quality=50)),
        replace(SETTINGS, refresh=True),
    ],
)
def test_a_change_of_template_layout_or_output_makes_entries_due(
    planned: Planner, store: MemoryStore, changed: Settings
):
    plan, _ = planned(rows("http://h/a.jpg"))
    finish(store, "run1", tasks_of(plan))
    assert planned(rows("http://h/a.jpg"))[0].left == 0
    assert planned(rows("http://h/a.jpg"), changed)[0].left == 1


def test_another_format_is_another_object(planned: Planner, store: MemoryStore):
    plan, _ = planned(rows("http://h/a.jpg"))
    finish(store, "run1", tasks_of(plan))
    plan, ledger = planned(rows("http://h/a.jpg"), replace(SETTINGS, output=Output(format=Format.PNG)))
    assert plan.left == 1
    assert (ledger[0].record.key or "").endswith(".png")


@pytest.mark.parametrize(
    ("reason", "status", "again"),
    [
        (Reason.HTTP_STATUS, 404, False),
        (Reason.HTTP_STATUS, 410, False),
        (Reason.HTTP_STATUS, 429, True),
        (Reason.HTTP_STATUS, 503, True),
        (Reason.UNSUPPORTED_FORMAT, 200, False),
        (Reason.CORRUPT_IMAGE, 200, False),
        (Reason.TOO_MANY_PIXELS, 200, False),
        (Reason.TIMEOUT, None, True),
        (Reason.CONNECT_ERROR, None, True),
        (Reason.DNS_ERROR, None, True),
        (Reason.UPLOAD_ERROR, 200, True),
        (Reason.INTERNAL_ERROR, None, True),
    ],
)
def test_only_failures_that_may_pass_are_tried_again(
    planned: Planner, store: MemoryStore, reason: Reason, status: int | None, again: bool
):
    plan, _ = planned(rows("http://h/a.jpg"))
    finish(store, "run1", tasks_of(plan), outcome=Outcome.FAILED, reason=reason, http_status=status)
    plan, ledger = planned(rows("http://h/a.jpg"))
    assert plan.left == int(again)
    if not again:
        assert (ledger[0].record.outcome, ledger[0].record.reason) == (Outcome.FAILED, reason)
    assert planned(rows("http://h/a.jpg"), replace(SETTINGS, retry_permanent=True))[0].left == 1


def test_verify_finds_objects_that_are_gone_or_of_another_size(planned: Planner, store: MemoryStore):
    lines = rows("http://h/a.jpg", "http://h/b.jpg", "http://h/c.jpg")
    records = tasks_of(planned(lines)[0])
    finish(store, "run1", records)
    store.put(records[0].key or "", b"12345")
    store.put(records[1].key or "", b"1234567")
    assert planned(lines)[0].left == 0
    assert [record.line for record in tasks_of(planned(lines, replace(SETTINGS, verify=True))[0])] == [2, 3]


def test_what_cannot_lie_in_one_folder_conflicts(tmp_path: Path):
    keys = ("a.jpg", "a.jpg/below.jpg", "b/c/1.jpg", "b", "b/c", "b/c/2.jpg", "b/c/1.jpg/deep/x.jpg", "b/c/1.jpg")
    lines = [ManifestRow(n, f"http://h/{key}", key=key) for n, key in enumerate(keys, 1)]
    for store, conflicts in ((LocalStore(tmp_path), {2: 1, 4: 3, 5: 3, 7: 3}), (MemoryStore(), {})):
        templates = TemplateFolder.shipped()
        made = plan_run(lines, SETTINGS, run_id="run1", store=store, templates=templates, scratch=tmp_path)
        ledger = read_ledger(store, SETTINGS.dataset, "run1")
        assert ledger is not None
        with ledger:
            failed = {line.record.line: line.record for line in ledger if line.record.reason is Reason.KEY_CONFLICT}
        assert {line: int((record.detail or "").split()[1]) for line, record in failed.items()} == conflicts
        assert len(tasks_of(made)) == len(lines) - len(conflicts) - 1  # the last line repeats the third


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "_relay").write_text("in the way")
    store = LocalStore(tmp_path / "out")
    with pytest.raises(RelayError, match=r"destination '.*/out' does not take objects"):
        check_destination(store, replace(SETTINGS, destination=str(tmp_path / "out")), "r")


def test_an_empty_manifest_plans_nothing(planned: Planner):
    plan, ledger = planned([])
    assert (plan.entries, plan.left, list(plan.tasks()), ledger) == (0, 0, [], [])


def test_planning_is_stopped_by_its_tick(store: MemoryStore, tmp_path: Path):
    def tick() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plan_run(
            rows("http://h/a"),
            SETTINGS,
            run_id="r",
            store=store,
            templates=TemplateFolder.shipped(),
            scratch=tmp_path,
            tick=tick,
        )


def test_few_entries_get_a_chain_of_steps_each():
    records = [Record(line, f"http://h/{line}/köln ü.jpg") for line in range(1, PER_URL_LIMIT + 1)]
    size = entries_per_task(len(records), wanted=None, max_concurrent=2)
    names = [task.name for task in cut(records, size)]
    assert len(names) == PER_URL_LIMIT
    assert names[0] == "line_1_k_ln_jpg"


@pytest.mark.parametrize("entries", [26, 100, 101, 1_000, 2_000, 10_000, 100_000])
@pytest.mark.parametrize("max_concurrent", [2, 8, 32])
def test_many_entries_travel_in_few_tasks_that_keep_every_slot_busy_as_often(entries: int, max_concurrent: int):
    size = entries_per_task(entries, wanted=None, max_concurrent=max_concurrent)
    assert 1 < size <= LARGEST_TASK
    tasks = len(list(cut([Record(line, "http://h/a") for line in range(entries)], size)))
    assert tasks <= entries / LARGEST_TASK + max_concurrent
    assert size == SMALLEST_TASK or tasks % max_concurrent == 0


def test_the_wanted_task_size_is_taken():
    tasks = list(cut([Record(line, "http://h/a") for line in range(1, 8)], 3))
    assert entries_per_task(7, wanted=3, max_concurrent=2) == 3
    assert [task.name for task in tasks] == ["lines_1_to_3", "lines_4_to_6", "lines_7_to_7"]


def test_results_account_for_every_line_even_when_nothing_ran(planned: Planner, store: MemoryStore):
    planned([*rows("http://h/a", "http://h/b", "http://h/a"), BadRow(4, "{", "broken JSON")])
    summary = write_results(store, "birds", run_id="run1", seconds=1.0, status="canceled")
    assert (summary.entries, summary.not_attempted, summary.failed, summary.status) == (4, 3, 1, "canceled")
