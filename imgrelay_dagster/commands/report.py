"""`imgrelay report`: makes the report of a run again, from its results in the destination."""

import argparse
import sys

from obstore.store import ObjectStore

from imgrelay_dagster.commands.choice import choose_run
from imgrelay_dagster.commands.tables import run_reading_command
from imgrelay_dagster.relay.results.rebuild import rebuild_report


def report(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    return run_reading_command(_rebuild, arguments)


def _rebuild(arguments: argparse.Namespace, store: ObjectStore, address: str) -> None:
    dataset, run_id = choose_run(store, address, arguments.dataset, arguments.run)
    sys.stdout.write(f"{address}/{rebuild_report(store, dataset, run_id)}\n")
