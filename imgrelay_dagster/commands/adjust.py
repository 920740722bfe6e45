"""`imgrelay adjust`: changes a run while it is under way."""

import argparse
import sys
from dataclasses import replace

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from imgrelay_dagster.commands.dagster_home import set_up_dagster_home
from imgrelay_dagster.commands.exit_codes import SUCCESS, WRONG_USAGE
from imgrelay_dagster.commands.tables import print_message
from imgrelay_dagster.relay.adjustments import Adjustments
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.runs.queries import is_relay_run
from imgrelay_dagster.runs.tags import ADJUST_TAG

NUMBERS = ("max_requests_per_second", "threads", "tolerated_failure_percentage")
"""Options of the command that take a number, as `Adjustments` calls them."""

SHOWN = 8
"""Runs that an error message lists at most."""


def adjust(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    try:
        given = _given(arguments)
        set_up_dagster_home()
        with dg.DagsterInstance.get() as instance:
            run = _find_run(instance, arguments.run)
            # The run's own tag: a shard's must not repeat what its coordinator may withdraw.
            adjustments = given.over(Adjustments.parse("" if arguments.reset else run.tags.get(ADJUST_TAG, "")))
            if arguments.paused is not None:
                adjustments = replace(adjustments, paused=arguments.paused)
            text = adjustments.to_text()
            instance.add_run_tags(run.run_id, {ADJUST_TAG: text})
            message = f"adjusted by the command line: {text}" if text else "adjustments withdrawn by the command line"
            instance.report_engine_event(message, run)
    except RelayError as error:
        print_message(str(error))
        return WRONG_USAGE
    sys.stdout.write(f"{run.run_id}: {text or 'as configured'}\n")
    return SUCCESS


def _given(arguments: argparse.Namespace) -> Adjustments:
    """The numbers that the command gives.

    Raises:
        RelayError: a value is not valid, or no option was given.
    """
    words = [f"{name}={value}" for name in NUMBERS if (value := getattr(arguments, name)) is not None]
    if not words and arguments.paused is None and not arguments.reset:
        raise RelayError("nothing to adjust; give an option such as --max-requests-per-second 20, --pause or --reset")
    return Adjustments.parse(" ".join(words))


def _find_run(instance: dg.DagsterInstance, beginning: str) -> dg.DagsterRun:
    """The run that is under way, or waits, and whose ID begins so.

    Raises:
        RelayError: there is none, or more than one.
    """
    runs = instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES))
    active = [run for run in runs if is_relay_run(run)]
    found = [run for run in active if run.run_id.startswith(beginning)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(run.run_id for run in (found or active)[:SHOWN]) or "none"
    problem = "several runs begin" if found else "no run that is under way begins"
    raise RelayError(f"{problem} with {beginning!r} in the Dagster instance (DAGSTER_HOME); under way: {names}")
