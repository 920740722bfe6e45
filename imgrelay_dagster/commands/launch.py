"""Executes a run of the command line in this process: on the local Dagster instance, with the configured executor.

Whatever ends the run, its results are complete when `launch` returns, and no step process and no scratch file is left.
Import this module only after the environment has been set up: our modules read it while they are imported.
"""

import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import dagster._core.storage.sqlite_storage  # loaded once, for this process and for the steps forked from it
from dagster._core.instance.ref import InstanceRef
from obstore.exceptions import BaseError
from sqlalchemy.exc import SQLAlchemyError

from imgrelay_dagster.commands import exit_codes
from imgrelay_dagster.commands.console import Console
from imgrelay_dagster.commands.signals import ShutdownSignals
from imgrelay_dagster.commands.template import tell_window
from imgrelay_dagster.config.executor_choice import steps_leave_this_host
from imgrelay_dagster.config.run_config import RelayConfig
from imgrelay_dagster.definitions import relay_job
from imgrelay_dagster.forkserver.step_processes import kill_everything, kill_steps, release_shared, wait_for_steps
from imgrelay_dagster.monitoring.failure_reason import failure_reason
from imgrelay_dagster.monitoring.housekeeping import clear_leftover_staging, clear_staging, settle, settle_ended_runs
from imgrelay_dagster.monitoring.lost_runs import end_lost_runs
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.progress.notes import RunProgress, read_progress
from imgrelay_dagster.relay.records.layout import run_receipts_prefix
from imgrelay_dagster.relay.records.receipts import read_receipts
from imgrelay_dagster.relay.records.summary import Summary
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE
from imgrelay_dagster.resources import build_stores
from imgrelay_dagster.runs.status import is_settled, was_planned
from imgrelay_dagster.runs.tags import DATASET_TAG, DESTINATION_TAG, INVOCATION_TAG, RESULTS_TAG

STOP_LIMIT = 7.0
"""Seconds that step processes get to end after a cancel. Then they are killed."""

REMOTE_STOP_LIMIT = 25.0
"""Seconds that steps on other hosts have: longer than the executor waits for them."""

RELEASE_LIMIT = 1.2
"""Seconds for releasing resources after a second Ctrl-C, before the process exits."""


@dataclass(frozen=True)
class RunResult:
    """How the run ended: the exit code of the command, and what to print."""

    code: int
    errors: tuple[str, ...] = ()
    summary: Summary | None = None
    destination: str = ""


def launch(config: RelayConfig, home: Path, signals: ShutdownSignals, console: Console) -> RunResult:
    """Execute job `relay` with this config.

    Args:
        home: the folder of the Dagster instance (`DAGSTER_HOME`).

    Raises:
        RelayError: the Dagster instance in `home` cannot be used; nothing was executed.
        KeyboardInterrupt: a signal arrived before the run was created.
    """
    with _open_instance(home) as instance:
        try:
            return _CommandRun(instance, config, signals, console).execute()
        except (SQLAlchemyError, sqlite3.Error) as error:
            wait_for_steps(STOP_LIMIT)
            return RunResult(exit_codes.FAILED, (_instance_failed(home, error),))


def _open_instance(home: Path) -> dg.DagsterInstance:
    """Open the instance in `home`.

    Dagster logs events to the console at level DEBUG. The log level INFO keeps the console free for the progress bar;
    the event log holds all events anyway.
    """
    try:
        overrides = {"python_logs": {"python_log_level": "INFO"}}
        return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=overrides))
    except Exception as error:
        raise RelayError(f"the Dagster instance in {str(home)!r} cannot be used: {_first_line(error)}") from error


class _CommandRun:
    """One run of the job, executed by this process."""

    def __init__(
        self, instance: dg.DagsterInstance, config: RelayConfig, signals: ShutdownSignals, console: Console
    ) -> None:
        self._instance = instance
        self._config = config
        self._destination = config.settings().destination
        self._signals = signals
        self._console = console
        self._invocation = uuid.uuid4().hex
        stores = build_stores()
        self._stores = stores
        self._executing = True

    def execute(self) -> RunResult:
        """Execute the run, then complete its results."""
        started = time.time()
        self._console.follow(self._progress_reader())
        self._signals.on_first = self._on_first_signal
        self._signals.on_second = self._exit_immediately
        self._settle_lost_runs()
        tell_window(self._config.settings(), self._console.note)
        error = self._execute_job()
        run = self._find_run()
        if run is None:
            if error is not None:
                raise RelayError(error)
            raise KeyboardInterrupt
        success = run.status is dg.DagsterRunStatus.SUCCESS
        canceled = self._signals.heard and not success
        wait_for_steps(STOP_LIMIT)
        errors = [] if success or canceled else [error or failure_reason(self._instance, run.run_id)]
        summary = None
        status = "canceled" if canceled else "failure"
        try:
            summary = settle(self._instance, run, self._stores, seconds=time.time() - started, status=status)
        except RelayError as problem:
            message = f"{problem}; {_where_results_are(run)}"
            if canceled:
                errors.append(f"canceled; {message}")
            elif was_planned(self._instance, run.run_id):  # otherwise `errors` holds the same problem already
                errors.append(message)
        else:
            errors += [_cancel_message(summary, self._has_receipts(run))] if canceled else []
            if not canceled:
                self._settle_earlier_runs()
        if canceled and run.status is not dg.DagsterRunStatus.CANCELED:
            self._instance.report_run_canceled(run)
        code = exit_codes.CANCELED if canceled else exit_codes.SUCCESS if success else exit_codes.FAILED
        return RunResult(code, tuple(errors), summary, self._destination)

    def _settle_lost_runs(self) -> None:
        """End runs whose process is gone, because they still hold their datasets, and delete their scratch files."""
        with suppress(RelayError):
            for line in end_lost_runs(self._instance, self._stores):
                self._console.note(line)
            for _ in clear_leftover_staging(self._instance, self._stores):
                pass

    def _settle_earlier_runs(self) -> None:
        """Write the results of runs that were lost before this one. By now their last step processes have ended."""
        with suppress(RelayError):
            for _ in (
                *settle_ended_runs(self._instance, self._stores),
                *clear_leftover_staging(self._instance, self._stores),
            ):
                pass

    def _execute_job(self) -> str | None:
        """Execute the job in this process. Returns the error if Dagster itself failed, otherwise None."""
        try:
            dg.execute_job(
                dg.reconstructable(relay_job),
                instance=self._instance,
                run_config=self._config.model_dump(),
                tags={INVOCATION_TAG: self._invocation},
                raise_on_error=False,
            )
        except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
            pass
        except Exception as error:  # noqa: BLE001 - after any error the results of the run are completed
            self._fail_run(_first_line(error))
            return f"the run was aborted: {_first_line(error)}"
        finally:
            self._signals.suppress_interrupts()
            self._executing = False
        return None

    def _fail_run(self, message: str) -> None:
        run = self._find_run()
        if run is not None and not run.is_finished:
            with suppress(Exception):
                self._instance.report_run_failed(run, message)

    def _find_run(self) -> dg.DagsterRun | None:
        runs = self._instance.get_runs(dg.RunsFilter(tags={INVOCATION_TAG: self._invocation}), limit=1)
        return runs[0] if runs else None

    def _progress_reader(self) -> Callable[[], RunProgress | None]:
        """Return a function that reads the run's progress. It returns None until the run has been created."""
        found: list[Staging] = []

        def read() -> RunProgress | None:
            run = None if found else self._find_run()
            if run is not None:
                found.append(self._stores.staging(run.run_id))
            return read_progress(found[0]) if found else None

        return read

    def _on_first_signal(self) -> None:
        """Bound the time of a cancel: Dagster's own handling of the signal waits for the steps without a limit."""
        self._console.stopping()
        for work in (self._report_canceling, self._kill_hanging_steps):
            threading.Thread(target=work, daemon=True).start()

    def _kill_hanging_steps(self) -> None:
        """After `STOP_LIMIT`, kill the remaining steps. If Dagster still waits for them, interrupt the main thread."""
        time.sleep(REMOTE_STOP_LIMIT if steps_leave_this_host() else STOP_LIMIT)
        if self._executing:
            kill_steps()
            time.sleep(1.0)
        if self._executing:
            self._signals.interrupt_main_thread()

    def _report_canceling(self) -> None:
        """Set the run's status to CANCELING. Steps that did not get the signal poll that status."""
        run = self._find_run()
        if run is not None and self._executing:
            self._instance.report_run_canceling(run)

    def _has_receipts(self, run: dg.DagsterRun) -> bool:
        """Whether the run stored or failed any entry."""
        if DATASET_TAG not in run.tags or DESTINATION_TAG not in run.tags:
            return False
        store = self._stores.open(run.tags[DESTINATION_TAG], INTERACTIVE)
        with suppress(RelayError, BaseError, OSError):
            prefix = run_receipts_prefix(run.tags[DATASET_TAG], run.run_id)
            return next(iter(read_receipts(store, prefix)), None) is not None
        return False

    def _exit_immediately(self) -> None:
        self._executing = False  # a thread that is about to report the cancel of the first signal must not do so now
        kill_everything()
        releasing = threading.Thread(target=self._release_resources, daemon=True)
        releasing.start()
        releasing.join(RELEASE_LIMIT)
        self._console.restore_terminal()
        self._console.error("ended at once, without a summary; launch again to do what is left")
        os._exit(exit_codes.CANCELED)

    def _release_resources(self) -> None:
        release_shared()
        run = self._find_run()
        if run is not None:
            self._instance.report_run_canceled(run)
            with suppress(RelayError):
                clear_staging(self._stores, run)


def _where_results_are(run: dg.DagsterRun) -> str:
    """What becomes of the results of a run whose destination this process cannot reach."""
    if is_settled(run):  # its last step may have been executed on another host
        return f"the results are already written there: {run.tags[RESULTS_TAG]}"
    return "the next launch or the Dagster daemon writes the results once the destination works"


def _cancel_message(summary: Summary | None, has_receipts: bool) -> str:
    if summary is None and has_receipts:  # of the head start
        return "canceled while the run was being planned; launch again, what was relayed by then is kept"
    if summary is None:
        return "canceled while the run was being planned; nothing was relayed"
    return f"canceled; launch again to do the {summary.not_attempted:,} entries that were not attempted"


def _instance_failed(home: Path, error: Exception) -> str:
    """The message about a Dagster instance that cannot be written or read any more."""
    cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    return (
        f"the Dagster instance in {str(home)!r} failed: {cause}; free some space there, or set DAGSTER_HOME to another "
        "folder, and launch again to do what is left"
    )


def _first_line(error: BaseException) -> str:
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first[:300]}"
