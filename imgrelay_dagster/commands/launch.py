"""Launching a run from the command line: in the local instance, with the real executor, to its very end.

The run's process is this one. Whatever ends the run, results are complete and nothing is left behind when
`launch` returns: no step process, no scratch file. Import this module once the environment is settled.
"""

import os
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import dagster._core.storage.sqlite_storage  # for an instance, and for the steps': loaded once for both
from dagster._core.instance.ref import InstanceRef

from imgrelay_dagster.commands import exit_codes
from imgrelay_dagster.commands.console import Console
from imgrelay_dagster.commands.signals import ShutdownSignals
from imgrelay_dagster.config.executor_choice import CELERY, executor_name
from imgrelay_dagster.config.run_config import RelayConfig
from imgrelay_dagster.definitions import relay_job
from imgrelay_dagster.forkserver.step_processes import kill_everything, kill_steps, let_steps_leave, release_semaphores
from imgrelay_dagster.monitoring.failure_reason import failure_reason
from imgrelay_dagster.monitoring.housekeeping import clear_leftover_staging, settle, settle_ended_runs
from imgrelay_dagster.monitoring.lost_runs import end_lost_runs
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.reader import read_manifest
from imgrelay_dagster.relay.manifest.sources import open_local
from imgrelay_dagster.relay.progress.notes import RunProgress, read_progress
from imgrelay_dagster.relay.results.fold import Summary
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.storage.stores import is_remote
from imgrelay_dagster.resources import HttpResource, StoresResource, TemplatesResource, build_resources
from imgrelay_dagster.runs.status import was_planned
from imgrelay_dagster.runs.tags import INVOCATION_TAG

STOP_LIMIT = 7.0
"""Seconds that step processes are given to end after a cancel before they are killed."""

LAST_RITES = 0.7
"""Seconds for clearing up when a second Ctrl-C ends everything at once."""


@dataclass(frozen=True)
class End:
    """How the command ended: its exit code, and what there is to tell."""

    code: int
    errors: tuple[str, ...] = ()
    summary: Summary | None = None
    destination: str = ""


def checked(form: dict[str, Any]) -> RelayConfig:
    """The config of a run with this form, and its template loaded, which processes forked from this one have then too.

    Raises:
        RelayError: the form cannot be used.
    """
    # One run, whatever the number of entries: shard runs would wait for a daemon that may not be there.
    config = RelayConfig.checked({**form, "max_entries_per_run": None})
    _check_inputs(config, form)
    return config


def launch(config: RelayConfig, home: Path, signals: ShutdownSignals, console: Console) -> End:
    """Run job `relay` with this config.

    Raises:
        RelayError: the Dagster instance in `home` cannot be used; nothing was run.
        KeyboardInterrupt: a signal came before the run began.
    """
    with _open_instance(home) as instance:
        return _Launched(instance, config, signals, console).to_the_end()


def _check_inputs(config: RelayConfig, form: dict[str, Any]) -> None:
    """Find wrong names before a run is made of them; what is inside the files, the run finds.

    Raises:
        RelayError: the template or a local manifest is not there, or is no such thing; a host that is allowed is none;
            the broker does not answer.
    """
    if executor_name() == CELERY:
        from imgrelay_dagster.execution.celery.executor import check_broker  # noqa: PLC0415 - an extra

        check_broker()
    resources = build_resources()
    templates, http = resources["templates"], resources["http"]
    assert isinstance(templates, TemplatesResource)
    assert isinstance(http, HttpResource)
    templates.open().load(config.template)
    http.guard()
    if config.manifest is None or is_remote(config.manifest):
        return
    try:
        with open_local(config.manifest) as file:
            read_manifest(file, config.manifest)
    except FileNotFoundError as error:
        raise RelayError(f"manifest {form['manifest']!r} does not exist; looked for it at {config.manifest}") from error
    except OSError as error:
        raise RelayError(f"manifest {form['manifest']!r} cannot be read: {error.strerror}") from error


def _open_instance(home: Path) -> dg.DagsterInstance:
    """The local instance, its console kept for the progress bar: every event is in its log all the same."""
    try:
        overrides = {"python_logs": {"python_log_level": "INFO"}}
        return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=overrides))
    except Exception as error:
        raise RelayError(f"the Dagster instance in {str(home)!r} cannot be used: {_short(error)}") from error


class _Launched:
    """One run of the job from this process."""

    def __init__(
        self, instance: dg.DagsterInstance, config: RelayConfig, signals: ShutdownSignals, console: Console
    ) -> None:
        self._instance = instance
        self._config = config
        self._destination = config.settings().destination
        self._signals = signals
        self._console = console
        self._invocation = uuid.uuid4().hex
        stores = build_resources()["stores"]
        assert isinstance(stores, StoresResource)
        self._stores = stores
        self._executing = True

    def to_the_end(self) -> End:
        """Execute the run, then make its records complete."""
        began = time.time()
        self._console.follow(self._progress())
        self._signals.on_first = self._stop
        self._signals.on_second = self._end_at_once
        self._sweep()
        trouble = self._execute()
        run = self._run()
        if run is None:
            if trouble is not None:
                raise RelayError(trouble)
            raise KeyboardInterrupt
        success = run.status is dg.DagsterRunStatus.SUCCESS
        canceled = self._signals.heard and not success
        let_steps_leave(STOP_LIMIT)
        errors = [] if success or canceled else [trouble or failure_reason(self._instance, run.run_id)]
        summary = None
        status = "canceled" if canceled else "failure"
        try:
            summary = settle(self._instance, run, self._stores, seconds=time.time() - began, status=status)
        except RelayError as error:
            later = f"{error}; the results are written once it can be: by the next launch, or the Dagster daemon"
            if canceled:
                errors.append(f"cancelled; {later}")
            elif was_planned(self._instance, run.run_id):  # otherwise the same trouble has been told of already
                errors.append(later)
        else:
            errors += [_canceled(summary)] if canceled else []
            if not canceled:
                self._tidy()
        if canceled and run.status is not dg.DagsterRunStatus.CANCELED:
            self._instance.report_run_canceled(run)
        code = exit_codes.CANCELED if canceled else exit_codes.SUCCESS if success else exit_codes.FAILED
        return End(code, tuple(errors), summary, self._destination)

    def _sweep(self) -> None:
        """End runs that were lost with their process, whose datasets would stay taken, and clear what they left."""
        with suppress(RelayError):
            for line in end_lost_runs(self._instance, self._stores):
                self._console.note(line)
            for _ in clear_leftover_staging(self._instance, self._stores):
                pass

    def _tidy(self) -> None:
        """Give runs that were lost before this one their results, now that their last steps have surely gone."""
        with suppress(RelayError):
            for _ in (
                *settle_ended_runs(self._instance, self._stores),
                *clear_leftover_staging(self._instance, self._stores),
            ):
                pass

    def _execute(self) -> str | None:
        """Run the job in this process; what went wrong around the run, if anything did."""
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
        except Exception as error:  # noqa: BLE001 - whatever it is, the records of the run are made complete
            self._fail_run(_short(error))
            return f"the run broke off: {_short(error)}"
        finally:
            self._signals.suppress_interrupts()
            self._executing = False
        return None

    def _fail_run(self, why_failed: str) -> None:
        run = self._run()
        if run is not None and not run.is_finished:
            with suppress(Exception):
                self._instance.report_run_failed(run, why_failed)

    def _run(self) -> dg.DagsterRun | None:
        runs = self._instance.get_runs(dg.RunsFilter(tags={INVOCATION_TAG: self._invocation}), limit=1)
        return runs[0] if runs else None

    def _progress(self) -> Callable[[], RunProgress | None]:
        """A look at the run's progress, once there is a run."""
        found: list[Staging] = []

        def look() -> RunProgress | None:
            run = None if found else self._run()
            if run is not None:
                found.append(self._stores.staging(run.run_id))
            return read_progress(found[0]) if found else None

        return look

    def _stop(self) -> None:
        """What the first signal sets off beside Dagster's own handling, which waits for steps without limit."""
        self._console.stopping()
        for work in (self._say_canceling, self._hurry):
            threading.Thread(target=work, daemon=True).start()

    def _hurry(self) -> None:
        """Kill steps that do not end, then end the wait for word from them, should Dagster still wait."""
        time.sleep(STOP_LIMIT)
        if self._executing:
            kill_steps()
            time.sleep(1.0)
        if self._executing:
            self._signals.interrupt_main_thread()

    def _say_canceling(self) -> None:
        """Let steps that missed the signal learn of it from the run's status."""
        run = self._run()
        if run is not None and self._executing:
            self._instance.report_run_canceling(run)

    def _end_at_once(self) -> None:
        kill_everything()
        rites = threading.Thread(target=self._last_rites, daemon=True)
        rites.start()
        rites.join(LAST_RITES)
        self._console.give_back_terminal()
        self._console.error("ended at once, without a summary; launch again to do what is left")
        os._exit(exit_codes.CANCELED)

    def _last_rites(self) -> None:
        release_semaphores()
        run = self._run()
        if run is not None:
            self._stores.staging(run.run_id).clear()
            self._instance.report_run_canceled(run)


def _canceled(summary: Summary | None) -> str:
    if summary is None:
        return "cancelled while the run was being planned; nothing was relayed"
    return f"cancelled; launch again to do the {summary.not_attempted:,} entries that were not attempted"


def _short(error: BaseException) -> str:
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first[:300]}"
