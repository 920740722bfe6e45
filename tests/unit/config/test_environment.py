"""The one table of environment variables: defaults, bounds, messages, and the docs made from it."""

import os
import re
import subprocess
import sys
from datetime import date, time
from pathlib import Path

import pytest

from imgrelay_dagster.config import environment
from imgrelay_dagster.config.environment import VARIABLES, replace_table
from imgrelay_dagster.config.variables import Variable, bad_values
from imgrelay_dagster.relay.errors import RelayError
from tests.conftest import ROOT
from tests.support import warm_start

INTERVALS = (environment.INBOX_INTERVAL, environment.LATE_INTERVAL, environment.WATCH_INTERVAL)


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable.name, raising=False)


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_a_variable_that_is_empty_has_its_default(variable: Variable[object], monkeypatch: pytest.MonkeyPatch):
    assert variable.get() == variable.default
    monkeypatch.setenv(variable.name, "")
    assert variable.get() == variable.default


@pytest.mark.parametrize(
    ("variable", "given", "value"),
    [
        *((interval, "7", 7) for interval in INTERVALS),
        (environment.FIRST_DAY, "2026-02-03", date(2026, 2, 3)),
        (environment.DROP_AT, "23:05", time(23, 5)),
        (environment.DROP_DAY, "today", "today"),
        (environment.LATE_DAYS, "366", 366),
        (environment.MAX_CONCURRENT, "512", 512),
        (environment.EXECUTOR, "k8s", "k8s"),
        (environment.CELERY_LOST_AFTER, "2.5", 2.5),
        (environment.STEP_CPU, "500m", "500m"),
        (environment.STEP_MEMORY, "1.5Gi", "1.5Gi"),
        (environment.ALLOWED_HOSTS, "a.test, 10.0.0.0/8 b.test", ("a.test", "10.0.0.0/8", "b.test")),
        (environment.ARGUMENT_PATHS, '["/a", "/b"]', ("/a", "/b")),
        (environment.PRELOAD_POSTGRES, "0", True),
        (environment.DESTINATION, "s3://bucket/prefix", "s3://bucket/prefix"),
    ],
)
def test_a_variable_sets_a_value(
    variable: Variable[object], given: str, value: object, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(variable.name, given)
    assert variable.get() == value


@pytest.mark.parametrize(
    ("variable", "given", "expected"),
    [
        *((environment.INBOX_INTERVAL, given, "a whole number of at least 1") for given in ("soon", "0", "-5", "1.5")),
        (environment.FIRST_DAY, "yesterday", "a date such as 2026-01-01"),
        (environment.DROP_AT, "25:00", "a time of day such as 06:00"),
        (environment.DROP_DAY, "tomorrow", "one of yesterday, today, previous, current"),
        (environment.LATE_DAYS, "367", "a whole number from 1 to 366"),
        (environment.MAX_CONCURRENT, "513", "a whole number from 1 to 512"),
        (environment.EXECUTOR, "threads", "one of multiprocess, celery, k8s"),
        (environment.CELERY_LOST_AFTER, "nan", "a number of seconds from 2 to 86400"),
        (environment.STEP_MEMORY, "plenty", "a Kubernetes quantity such as 500m or 1Gi"),
        (environment.ARGUMENT_PATHS, "/a", "a JSON list of paths"),
    ],
)
def test_a_bad_value_is_refused_in_one_sentence(
    variable: Variable[object], given: str, expected: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(variable.name, given)
    with pytest.raises(RelayError) as refused:
        variable.get()
    assert str(refused.value) == f"{variable.name} {given!r} is not {expected}"


def test_all_bad_values_are_reported_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IMGRELAY_LATE_DAYS", "many")
    monkeypatch.setenv("IMGRELAY_DROP_AT", "noon")
    monkeypatch.setenv("IMGRELAY_INBOX_INTERVAL", "0")
    assert len(bad_values()) == 3
    with pytest.raises(RelayError, match=r"IMGRELAY_DROP_AT 'noon' .*; IMGRELAY_LATE_DAYS 'many' .*; IMGRELAY_INBOX_"):
        environment.LATE_DAYS.get()


def test_a_password_in_a_bad_value_is_not_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IMGRELAY_FIRST_DAY", "redis://me:secret@host/0")
    with pytest.raises(RelayError) as refused:
        environment.FIRST_DAY.get()
    assert "secret" not in str(refused.value)


def test_bad_sensor_intervals_leave_the_code_location_alone():
    code = "from imgrelay_dagster.definitions import defs; print(len(list(defs.get_repository_def().sensor_defs)))"
    bad = {interval.name: "often" for interval in INTERVALS}
    done = warm_start.run([sys.executable, "-c", code], env={**os.environ, **bad}, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "8"
    for interval in INTERVALS:
        assert f"{interval.name} 'often' is not a whole number of at least 1; using the default" in done.stderr


def test_no_other_module_reads_a_variable_of_ours():
    readers = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "imgrelay_dagster").rglob("*.py")
        if re.search(r"""(environ(\.get\(|\.pop\(|\[)|getenv\()\s*["']IMGRELAY_""", path.read_text())
    ]
    assert readers == []


def test_every_variable_that_the_code_names_is_in_the_table():
    named = {
        name
        for path in (ROOT / "imgrelay_dagster").rglob("*.py")
        for name in re.findall(r"\bIMGRELAY_[A-Z_]*[A-Z]\b", path.read_text())
    }
    assert named <= {variable.name for variable in VARIABLES}


def test_the_docs_hold_the_table():
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert replace_table(page) == page, "run python -m imgrelay_dagster.config.environment docs/configuration.md"


def test_the_module_writes_the_table_into_a_page(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- environment:begin -->\nstale row\n<!-- environment:end -->\nafter\n")
    subprocess.run([sys.executable, "-m", "imgrelay_dagster.config.environment", str(page)], check=True)
    written = page.read_text()
    assert written.startswith("before\n<!-- environment:begin -->\n| variable |")
    assert written.endswith("<!-- environment:end -->\nafter\n")
    assert "stale row" not in written
