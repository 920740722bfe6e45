"""Planning: which entries are left to do, and the ledger with a line for each manifest line."""

import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from obstore.store import LocalStore, MemoryStore, ObjectStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.imaging.decoder_version import decoder_version
from imgrelay_dagster.relay.imaging.output import Format, Output
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.manifest.rows import BadRow, ManifestRow, Row
from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record
from imgrelay_dagster.relay.planning.plan import Plan
from imgrelay_dagster.relay.planning.planner import plan_run
from imgrelay_dagster.relay.records.layout import run_receipts_prefix
from imgrelay_dagster.relay.records.ledger import Planned, read_ledger
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.results.fold import write_results
from imgrelay_dagster.relay.settings import Settings

SETTINGS = Settings(dataset="birds", destination="memory")
PlanRun = Callable[..., tuple[Plan, list[Planned]]]


def rows(*urls: str) -> list[Row]:
    return [ManifestRow(line, url) for line, url in enumerate(urls, 1)]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def planned(store: MemoryStore, tmp_path: Path) -> PlanRun:
    """Plans runs in the test's store; each call is a run of its own."""
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


def write_receipts(store: ObjectStore, run_id: str, records: list[Record], **fields: object) -> None:
    """Write receipts as if a run had finished these entries."""
    with ReceiptWriter(store, run_receipts_prefix("birds", run_id), "upload-x") as writer:
        for record in records:
            values = {"outcome": Outcome.UPLOADED, "at": 1.0, "bytes_out": 5, "sha256": "ab", "frames": 3, **fields}
            writer.add(replace(record, **values))


def tasks_of(plan: Plan) -> list[Record]:
    return [record for task in plan.tasks() for record in task.records]


def test_every_line_is_in_the_ledger_in_order(planned: PlanRun):
    plan, ledger = planned(
        [*rows("http://h/a.jpg", "ftp://h/b"), BadRow(3, "{", "broken JSON"), *rows("http://h/c")[:0]]
    )
    assert [line.record.line for line in ledger] == [1, 2, 3]
    assert [line.record.reason for line in ledger] == [None, Reason.BAD_URL, Reason.INVALID_ENTRY]
    assert (plan.entries, plan.left, plan.decided) == (3, 1, {"failed": 2})


def test_a_repeated_line_is_relayed_once(planned: PlanRun):
    plan, ledger = planned(rows("http://h/a.jpg", "http://h/b.jpg", "http://h/a.jpg"))
    assert [line.same_as for line in ledger] == [None, None, 1]
    assert [record.line for record in tasks_of(plan)] == [1, 2]


def test_two_urls_with_the_same_key_conflict(planned: PlanRun):
    lines: list[Row] = [ManifestRow(1, "http://h/a", key="x.jpg"), ManifestRow(2, "http://h/b", key="x.jpg")]
    _, ledger = planned(lines)
    assert [line.record.reason for line in ledger] == [None, Reason.KEY_CONFLICT]
    assert ledger[1].record.detail == "line 1 already claims the key 'x.jpg'"


def test_an_unsafe_key_makes_the_entry_invalid(planned: PlanRun):
    _, ledger = planned([ManifestRow(1, "http://h/a", key="../x.jpg"), ManifestRow(2, "http://h/a", key="_relay/x")])
    assert [line.record.reason for line in ledger] == [Reason.INVALID_ENTRY] * 2


def test_a_missing_template_fails_its_entry_only(planned: PlanRun):
    plan, ledger = planned([ManifestRow(1, "http://h/a", template="no.png"), ManifestRow(2, "http://h/b")])
    assert ledger[0].record.reason is Reason.TEMPLATE_MISSING
    assert "it holds badge.png, frame.png" in (ledger[0].record.detail or "")
    assert plan.left == 1


def test_the_runs_template_must_exist(planned: PlanRun):
    with pytest.raises(RelayError, match=r"template 'no.png' not found in .*; it holds badge.png, frame.png"):
        planned(rows("http://h/a"), replace(SETTINGS, template="no.png"))


def test_entries_with_receipts_are_not_relayed_again(planned: PlanRun, store: MemoryStore):
    plan, _ = planned(rows("http://h/a.jpg", "http://h/b.jpg"))
    write_receipts(store, "run1", tasks_of(plan)[:1])
    plan, ledger = planned(rows("http://h/a.jpg", "http://h/b.jpg"))
    assert [line.record.outcome for line in ledger] == [Outcome.UNCHANGED, None]
    assert (ledger[0].record.bytes_out, ledger[0].record.sha256, ledger[0].record.frames) == (5, "ab", 3)
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
def test_a_change_of_template_layout_or_output_relays_entries_again(
    planned: PlanRun, store: MemoryStore, changed: Settings
):
    plan, _ = planned(rows("http://h/a.jpg"))
    write_receipts(store, "run1", tasks_of(plan))
    assert planned(rows("http://h/a.jpg"))[0].left == 0
    assert planned(rows("http://h/a.jpg"), changed)[0].left == 1


def test_another_format_has_another_key(planned: PlanRun, store: MemoryStore):
    plan, _ = planned(rows("http://h/a.jpg"))
    write_receipts(store, "run1", tasks_of(plan))
    plan, ledger = planned(rows("http://h/a.jpg"), replace(SETTINGS, output=Output(format=Format.PNG)))
    assert plan.left == 1
    assert (ledger[0].record.key or "").endswith(".png")


@pytest.mark.parametrize(
    ("reason", "status", "retried"),
    [
        (Reason.HTTP_STATUS, 404, False),
        (Reason.HTTP_STATUS, 410, False),
        *((Reason.HTTP_STATUS, status, True) for status in (401, 403, 407, 451)),
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
def test_only_transient_failures_are_retried(
    planned: PlanRun, store: MemoryStore, reason: Reason, status: int | None, retried: bool
):
    plan, _ = planned(rows("http://h/a.jpg"))
    write_receipts(
        store,
        "run1",
        tasks_of(plan),
        outcome=Outcome.FAILED,
        reason=reason,
        http_status=status,
        at=time.time(),
        decoder=decoder_version(),
    )
    plan, ledger = planned(rows("http://h/a.jpg"))
    assert plan.left == int(retried)
    if not retried:
        assert (ledger[0].record.outcome, ledger[0].record.reason) == (Outcome.FAILED, reason)
    assert planned(rows("http://h/a.jpg"), replace(SETTINGS, retry_permanent=True))[0].left == 1


def test_what_is_remembered_says_so_and_ends_with_time_upgrades_and_wishes(planned: PlanRun, store: MemoryStore):
    plan, _ = planned(rows("http://h/a.jpg", "http://h/b.jpg"))
    gone, broken = tasks_of(plan)
    now = time.time()
    day = datetime.fromtimestamp(now, UTC).date()
    write_receipts(
        store,
        "run1",
        [gone],
        outcome=Outcome.FAILED,
        reason=Reason.HTTP_STATUS,
        http_status=404,
        at=now,
        detail="h: 404",
    )
    old = {"outcome": Outcome.FAILED, "reason": Reason.CORRUPT_IMAGE, "at": time.time(), "decoder": "0/older"}
    write_receipts(store, "run2", [broken], **old)
    patient = replace(SETTINGS, retry_permanent_after=36_500.0)
    plan, ledger = planned(rows("http://h/a.jpg", "http://h/b.jpg"), patient)
    assert ledger[0].record.detail == (
        f"not asked in this run; answered 404 on {day}; --retry-permanent asks again (h: 404)"
    )
    assert plan.left == 1, "other decoders may decode what older ones refused"
    for again in (
        replace(SETTINGS, retry_permanent_after=0.0),
        replace(patient, retry_reasons=("http_status",)),
        replace(patient, retry_permanent=True),
    ):
        assert planned(rows("http://h/a.jpg"), again)[0].left == 1
    assert planned(rows("http://h/a.jpg"), replace(patient, retry_reasons=("timeout",)))[0].left == 0


def test_verify_finds_missing_objects_and_objects_of_another_size(planned: PlanRun, store: MemoryStore):
    lines = rows("http://h/a.jpg", "http://h/b.jpg", "http://h/c.jpg")
    records = tasks_of(planned(lines)[0])
    write_receipts(store, "run1", records)
    store.put(records[0].key or "", b"12345")
    store.put(records[1].key or "", b"1234567")
    assert planned(lines)[0].left == 0
    assert [record.line for record in tasks_of(planned(lines, replace(SETTINGS, verify=True))[0])] == [2, 3]


def test_a_key_that_would_be_a_file_and_a_folder_conflicts(tmp_path: Path):
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


def test_an_empty_manifest_plans_nothing(planned: PlanRun):
    plan, ledger = planned([])
    assert (plan.entries, plan.left, list(plan.tasks()), ledger) == (0, 0, [], [])


def test_an_exception_of_tick_ends_planning(store: MemoryStore, tmp_path: Path):
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


def test_results_have_every_line_even_if_no_task_ran(planned: PlanRun, store: MemoryStore):
    planned([*rows("http://h/a", "http://h/b", "http://h/a"), BadRow(4, "{", "broken JSON")])
    summary = write_results(store, "birds", run_id="run1", seconds=1.0, status="canceled")
    assert (summary.entries, summary.not_attempted, summary.failed, summary.status) == (4, 3, 1, "canceled")


@pytest.mark.parametrize("changes", [{"template": "badge.png"}, {"output": Output(Format.PNG)}])
def test_other_settings_say_how_many_entries_they_make_due_again(
    store: MemoryStore, tmp_path: Path, changes: dict[str, object]
):
    """Also with another format, whose keys have another extension."""
    told: list[str] = []
    lines = rows("http://h/a.jpg", "http://h/b.jpg")

    def plan(run_id: str, lines: list[Row], settings: Settings) -> None:
        (tmp_path / run_id).mkdir()
        made = plan_run(lines, settings, run_id=run_id, store=store, templates=TemplateFolder.shipped(),
                        scratch=tmp_path / run_id, tell=told.append)  # fmt: skip
        with ReceiptWriter(store, run_receipts_prefix("birds", run_id), "upload-x") as writer:
            for record in (record for task in made.tasks() for record in task.records):
                writer.add(replace(record, outcome=Outcome.UPLOADED, bytes_out=1, at=time.time()))

    plan("first", lines, SETTINGS)
    plan("second", [*lines, *rows("http://h/new.jpg")], SETTINGS)
    assert told == []
    plan("third", lines, replace(SETTINGS, **changes))
    assert told == [
        "2 entries that are done are due again: template, layout or output are not those with which they were last "
        "relayed"
    ]
