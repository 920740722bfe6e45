"""Keys whose extension is settled when their image is made (`output.format: source`), and the column `focus`."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from obstore.store import LocalStore, MemoryStore, ObjectStore

from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.imaging.layout import Canvas, Layout
from imgrelay_dagster.relay.imaging.output import Format, Output
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.manifest.rows import ManifestRow, Row
from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record
from imgrelay_dagster.relay.planning.entry_keys import EntryKeys
from imgrelay_dagster.relay.planning.plan import Plan
from imgrelay_dagster.relay.planning.planner import plan_run
from imgrelay_dagster.relay.records.layout import run_receipts_prefix
from imgrelay_dagster.relay.records.ledger import Planned, read_ledger
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.results.mirror import prune
from imgrelay_dagster.relay.settings import Settings

SOURCE = Settings(dataset="birds", destination="memory", output=Output(Format.SOURCE))
PlanRun = Callable[..., list[Planned]]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def planned(store: MemoryStore, tmp_path: Path) -> PlanRun:
    numbers = itertools.count(1)

    def plan(lines: list[Row], settings: Settings = SOURCE, where: ObjectStore = store) -> list[Planned]:
        run_id = f"run{next(numbers)}"
        (tmp_path / run_id).mkdir()
        made: Plan = plan_run(
            lines, settings, run_id=run_id, store=where, templates=TemplateFolder.shipped(), scratch=tmp_path / run_id
        )
        assert made.entries == len(lines)
        ledger = read_ledger(where, settings.dataset, run_id)
        assert ledger is not None
        with ledger:
            return list(ledger)

    return plan


def store_image(store: ObjectStore, record: Record, extension: str, *, at: float = 1.0) -> None:
    """Write an image and its receipt as a run does."""
    assert record.key is not None
    key = SOURCE.stored_key(record.key, extension)
    store.put(key, b"12345")
    done = replace(record, key=key, planned_key=record.key, outcome=Outcome.UPLOADED, at=at, bytes_out=5, quality=85)
    with ReceiptWriter(store, run_receipts_prefix("birds", f"run-of-{extension}"), "upload-x") as writer:
        writer.add(done)


def test_key_is_open_until_the_image_is_made(planned: PlanRun) -> None:
    (line,) = planned([ManifestRow(1, "http://h/a.png")])
    assert (line.record.key or "").endswith(".*")
    assert SOURCE.default_key("http://h/a.png") == line.record.key
    usual = Settings(dataset="birds", destination="memory").default_key("http://h/a.png")
    assert SOURCE.stored_key(line.record.key or "", "jpg") == usual


@pytest.mark.parametrize("verify", [False, True])
def test_next_run_finds_the_image_under_its_real_key(planned: PlanRun, store: MemoryStore, verify: bool) -> None:
    settings = replace(SOURCE, verify=verify)
    (line,) = planned([ManifestRow(1, "http://h/a")], settings)
    store_image(store, line.record, "webp")
    (again,) = planned([ManifestRow(1, "http://h/a")], settings)
    assert again.record.outcome is Outcome.UNCHANGED
    assert (again.record.key or "").endswith(".webp")
    assert (again.record.planned_key, again.record.quality) == (line.record.key, 85)
    store.delete(again.record.key or "")
    (third,) = planned([ManifestRow(1, "http://h/a")], settings)
    assert third.record.outcome is (None if verify else Outcome.UNCHANGED)


def test_pruned_image_is_relayed_again(planned: PlanRun, store: MemoryStore) -> None:
    (line,) = planned([ManifestRow(1, "http://h/a")])
    store_image(store, line.record, "png")
    prune(store, "birds", [SOURCE.stored_key(line.record.key or "", "png")])
    (again,) = planned([ManifestRow(1, "http://h/a")])
    assert (again.record.outcome, again.record.key) == (None, line.record.key)


def test_open_key_takes_all_keys_that_it_may_become(planned: PlanRun) -> None:
    lines = planned(
        [
            ManifestRow(1, "http://h/a", "x.*"),
            ManifestRow(2, "http://h/b", "x.png"),
            ManifestRow(3, "http://h/a", "x.*"),
            ManifestRow(4, "http://h/b", "x.gif"),
            ManifestRow(5, "http://h/c", "y.webp"),
            ManifestRow(6, "http://h/c", "y.*"),
        ]
    )
    assert [line.record.reason for line in lines] == [None, Reason.KEY_CONFLICT, None, None, None, Reason.KEY_CONFLICT]
    assert lines[1].record.detail == "line 1 already claims the key 'x.*'"
    assert lines[2].same_as == 1


def test_open_key_cannot_become_a_folder_of_another(planned: PlanRun, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    rows: list[Row] = [ManifestRow(1, "http://h/a", "x.*"), ManifestRow(2, "http://h/b", "x.png/b.jpg")]
    for lines in (rows, rows[::-1]):
        found = planned(lines, SOURCE, LocalStore(tmp_path / "out"))
        assert [line.record.reason for line in found] == [None, Reason.KEY_CONFLICT]


@pytest.mark.parametrize(
    ("rule", "given", "expected"),
    [
        (None, "a.png", "a.png"),
        ("replace", "a.png", "a.*"),
        ("replace", "a", "a"),
        ("refuse", "a.*", "a.*"),
        ("keep", "a.*", "a.*"),
    ],
)
def test_keys_of_the_manifest(rule: str | None, given: str, expected: str) -> None:
    told: list[str] = []
    keys = EntryKeys(replace(SOURCE, key_extension=rule))
    assert keys.key_of(ManifestRow(1, "http://h/a", given), "frame.png") == expected
    keys.report(told.append)
    assert [("whatever the format of the source" in each) for each in told] == [True] * (expected == "a.png")


def test_refused_extension_says_how_to_write_an_open_key() -> None:
    keys = EntryKeys(replace(SOURCE, key_extension="refuse"))
    with pytest.raises(EntryFailure, match=r"key ends in '\.png', .* sources; end it in \.\*"):
        keys.key_of(ManifestRow(1, "http://h/a", "a.png"), "frame.png")


@pytest.mark.parametrize("pattern", ["{name}.{ext}", "{name}.jpg"])
def test_pattern_gives_open_keys(pattern: str) -> None:
    assert EntryKeys(replace(SOURCE, key=pattern)).key_of(ManifestRow(1, "http://h/a.png"), "frame.png") == "a.*"


@pytest.mark.parametrize("pattern", ["{ext}/{name}.{ext}", "{ext}/{name}", "{name}-{ext}"])
def test_extension_elsewhere_in_a_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(RelayError, match="may stand only at the end"):
        EntryKeys(replace(SOURCE, key=pattern))


def test_focus_of_a_line(planned: PlanRun) -> None:
    settings = Settings(dataset="birds", destination="memory", layout=Layout(canvas=Canvas.TEMPLATE))
    rows: list[Row] = [
        ManifestRow(line, f"http://h/{line}", focus=focus)
        for line, focus in enumerate((None, "0.3,0.6", "west", "left"), 1)
    ]
    lines = planned(rows, settings)
    assert [line.record.focus for line in lines] == [None, "0.3,0.6", "west", "left"]
    assert [line.record.reason for line in lines] == [None, None, None, Reason.INVALID_ENTRY]
    assert "focus 'left' is neither an anchor" in (lines[3].record.detail or "")
    unused = planned(rows, replace(settings, layout=Layout()))
    assert [(line.record.focus, line.record.reason) for line in unused] == [(None, None)] * 4


def test_image_that_is_asked_for_again_stays_under_its_real_key(planned: PlanRun, store: MemoryStore) -> None:
    settings = replace(SOURCE, recheck=0.0)
    (line,) = planned([ManifestRow(1, "http://h/a")], settings)
    store_image(store, line.record, "png")
    (again,) = planned([ManifestRow(1, "http://h/a")], settings)
    assert (again.record.outcome, again.record.key) == (None, line.record.key)
    assert again.record.earlier is not None
    kept = again.record.earlier.keep(again.record)
    assert (kept.outcome, kept.planned_key, kept.quality) == (Outcome.UNCHANGED, line.record.key, 85)
    assert kept.key == SOURCE.stored_key(line.record.key or "", "png")
