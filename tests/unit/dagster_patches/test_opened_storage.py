"""A step opens existing databases without checking them; missing ones are created as ever."""

from pathlib import Path

from tests.support.warm_start import output_of

CODE = """
import sys
import dagster as dg
from dagster._core.storage import sql
from imgrelay_dagster.dagster_patches.opened_storage import patch_opened_storage, prepare_opened_storage
from imgrelay_dagster.dagster_patches.sqlite_storage import patch_sqlite_storage, prepare_sqlite_storage
checks = []
def counted(*arguments, check=sql.check_alembic_revision):
    checks.append(1)
    return check(*arguments)
for module in list(sys.modules.values()):
    if getattr(module, "check_alembic_revision", None) is sql.check_alembic_revision and module is not sql:
        module.check_alembic_revision = counted
def use():
    with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
        run = instance.create_run_for_job(dg.job(name="a_job")(lambda: None))
        instance.report_engine_event("seen", run)
        return len(instance.all_logs(run.run_id)), len(instance.get_runs()), len(instance.all_instigator_state())
"""


def run(code: str, home: Path) -> str:
    """What another process prints: the patch must not reach this one."""
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}")
    return output_of(CODE + code, home)


def test_missing_databases_are_created_and_existing_ones_are_opened_without_a_check(tmp_path: Path):
    code = """
assert patch_opened_storage()
print(use(), len(checks) > 2)
checks.clear()
print(use(), len(checks))  # the new run's own database is created
"""
    assert run(code, tmp_path).splitlines() == ["(1, 1, 0) True", "(1, 2, 0) 1"]


def test_a_step_whose_process_was_prepared_opens_them_without_a_check_too(tmp_path: Path):
    code = """
print(use(), len(checks) > 2)
checks.clear()
prepare_sqlite_storage()
prepare_opened_storage()
assert patch_sqlite_storage() and patch_opened_storage()
print(use(), len(checks))  # the new run's own database is created
"""
    assert run(code, tmp_path).splitlines() == ["(1, 1, 0) True", "(1, 2, 0) 1"]
