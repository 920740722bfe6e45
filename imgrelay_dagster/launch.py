"""Launching a run from the command line: in the local instance, with the real executor, to its very end.

The run's process is this one. Whatever ends the run, results are complete and nothing is left behind when
`launch` returns: no step process, no scratch file.
"""

import multiprocessing
import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socketpair
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.instance.ref import InstanceRef

from imgrelay_dagster.cli import CANCELED, FAILED, SUCCESS, WRONG_USAGE
from imgrelay_dagster.console import Console
from imgrelay_dagster.home import settle_dagster_home
from imgrelay_dagster.paths import allow_arguments
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.interrupts import shielded
from imgrelay_dagster.relay.plan import has_ledger
from imgrelay_dagster.relay.progress import RunProgress, read_progress
from imgrelay_dagster.relay.report import Summary, drop_ledger, read_summary, write_results
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.staging import Staging

if TYPE_CHECKING:
    from imgrelay_dagster.resources import StoresResource

INVOCATION_TAG = "imgrelay/invocation"
"""Marks the run of one command, so that its progress can be followed while it is being executed."""

LEAVE_LIMIT = 5.0
"""Seconds that step processes are given to end after a cancel before they are killed."""


@dataclass(frozen=True)
class Ended:
    """How the run ended, as Dagster and the user's signals tell it."""

    run_id: str | None
    success: bool
    canceled: bool


def launch(form: dict[str, Any], *, as_json: bool) -> int:
    """Run job `relay` with this form and return the command's exit code."""
    console = Console(as_json=as_json)
    home = settle_dagster_home()
    _allow(form)
    from imgrelay_dagster.config import RelayConfig  # noqa: PLC0415 - reads the environment settled above

    try:
        config = RelayConfig.checked(form)
    except RelayError as error:
        console.error(str(error))
        return WRONG_USAGE
    settings = config.settings()
    with _quiet_instance(home) as instance:
        began = time.time()
        ended = _execute(instance, config.model_dump(), console)
        if ended.run_id is None:
            console.error("cancelled before the run began")
            return CANCELED
        with shielded():
            _let_children_leave()
            summary = _settle(ended, settings, began, console)
            if ended.canceled:
                instance.report_run_canceled(_run(instance, ended.run_id))
        if not ended.success and not ended.canceled:
            console.error(why(instance, ended.run_id))
    if summary is not None:
        console.summary(summary, settings.destination)
    return CANCELED if ended.canceled else SUCCESS if ended.success else FAILED


def _quiet_instance(home: Path) -> dg.DagsterInstance:
    """The local instance, its console kept for the progress bar: every event is in its log all the same."""
    overrides = {"python_logs": {"python_log_level": "INFO"}}
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=overrides))


def _allow(form: dict[str, Any]) -> None:
    """Let the run use the local paths that its user named, and take a template given by its path."""
    paths = [form[name] for name in ("manifest", "destination") if isinstance(form.get(name), str)]
    template = form.get("template")
    if isinstance(template, str) and ("/" in template or Path(template).is_file()):
        os.environ["IMGRELAY_TEMPLATES"] = str(Path(template).expanduser().resolve().parent)
        form["template"] = Path(template).name
    allow_arguments(paths)


def _execute(instance: dg.DagsterInstance, config: dict[str, Any], console: Console) -> Ended:
    from imgrelay_dagster.definitions import relay_job  # noqa: PLC0415 - resources are read from the environment

    invocation = uuid.uuid4().hex
    wanted = dg.RunsFilter(tags={INVOCATION_TAG: invocation})
    look = _follow(instance, wanted)
    with _signals() as received, console.progress(look):
        run_id: str | None
        try:
            result = dg.execute_job(
                dg.reconstructable(relay_job),
                instance=instance,
                run_config=config,
                tags={INVOCATION_TAG: invocation},
                raise_on_error=False,
            )
            run_id, success = str(result.run_id), result.success
        except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
            run_id, success = _run_id(instance, wanted), False
    return Ended(run_id, success, canceled=bool(received) and not success)


def _run_id(instance: dg.DagsterInstance, wanted: dg.RunsFilter) -> str | None:
    runs = instance.get_runs(wanted, limit=1)
    return runs[0].run_id if runs else None


def _follow(instance: dg.DagsterInstance, wanted: dg.RunsFilter) -> Callable[[], RunProgress | None]:
    """A look at the progress of the run that is wanted, once there is one."""
    stores = _stores()
    found: list[Staging] = []

    def look() -> RunProgress | None:
        run_id = None if found else _run_id(instance, wanted)
        if run_id is not None:
            found.append(stores.staging(run_id))
        return read_progress(found[0]) if found else None

    return look


def _stores() -> "StoresResource":
    from imgrelay_dagster.resources import StoresResource, build_resources  # noqa: PLC0415

    stores = build_resources()["stores"]
    assert isinstance(stores, StoresResource)
    return stores


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Let SIGTERM and SIGHUP end the run as Ctrl-C does, and keep a list of what came in.

    Dagster sets its own handlers while it executes; the wake-up descriptor hears every signal all the same.
    """
    received: list[int] = []
    ours, wakeup = socketpair()
    ours.setblocking(False)
    wakeup.setblocking(False)
    endings = (signal.SIGTERM, signal.SIGHUP)
    saved = {number: signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT)) for number in endings}
    previous = signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
    try:
        yield received
    finally:
        signal.set_wakeup_fd(previous)
        for number, handler in saved.items():
            signal.signal(number, handler)
        try:
            heard = ours.recv(4096)
        except BlockingIOError:
            heard = b""
        received.extend(number for number in heard if number in (signal.SIGINT, *endings))
        ours.close()
        wakeup.close()


def _let_children_leave() -> None:
    """Wait for the run's step processes, and kill what is still there after the limit."""
    until = time.monotonic() + LEAVE_LIMIT
    for child in multiprocessing.active_children():
        child.join(max(0.0, until - time.monotonic()))
        if child.is_alive():
            child.kill()
            child.join(1.0)


def _settle(ended: Ended, settings: Settings, began: float, console: Console) -> Summary | None:
    """The run's summary; a run that never reached its report gets one from its receipts. Clears scratch space."""
    assert ended.run_id is not None
    stores = _stores()
    summary = None
    try:
        stores.staging(ended.run_id).clear()
        store = stores.open_brief(settings.destination)
        summary = read_summary(store, settings.dataset, ended.run_id)
        if summary is None and has_ledger(store, settings.dataset, ended.run_id):
            summary = write_results(
                store,
                settings,
                run_id=ended.run_id,
                seconds=time.time() - began,
                status="canceled" if ended.canceled else "failure",
            )
            drop_ledger(store, settings, ended.run_id)
    except RelayError as error:
        if ended.canceled:
            console.error(str(error))
    return summary


def _run(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run


def why(instance: dg.DagsterInstance, run_id: str) -> str:
    """The sentence of the step or run that failed first."""
    kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    for entry in instance.all_logs(run_id, of_type=kinds):
        event = entry.dagster_event
        if event is None:
            continue
        if event.is_step_failure:
            failure = event.step_failure_data
            if failure.user_failure_data and failure.user_failure_data.description:
                return failure.user_failure_data.description
            return f"step {event.step_key} failed: {_first_line(failure.error)}"
        return _first_line(event.job_failure_data.error) or event.message or "the run failed"
    return "the run failed; its page in the Dagster UI says more"


def _first_line(error: Any) -> str:
    while error is not None and error.cause is not None:
        error = error.cause
    return "" if error is None else error.message.strip().splitlines()[0]


if __name__ == "__main__":
    sys.exit("use the command imgrelay")
