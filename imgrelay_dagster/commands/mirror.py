"""`imgrelay verify` and `imgrelay prune`: compare a destination with its records, delete what nobody wants any more."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial

from obstore.store import ObjectStore

from imgrelay_dagster.commands.choice import choose_dataset, choose_run
from imgrelay_dagster.commands.exit_codes import CANCELED, FAILED, SUCCESS
from imgrelay_dagster.commands.tables import Table, print_message, run_reading_command
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.formatting import count
from imgrelay_dagster.relay.records.dataset_names import stored_datasets
from imgrelay_dagster.relay.records.summary import PARTIAL, Summary, read_summary
from imgrelay_dagster.relay.results.history import past_runs
from imgrelay_dagster.relay.results.mirror import find_leftovers, find_mismatches, prune, stored_images
from imgrelay_dagster.relay.storage.addresses import is_remote
from imgrelay_dagster.relay.storage.listing import ListedObject

KEYS_SHOWN = 20
"""Keys that `prune` shows before it asks."""


def verify(arguments: argparse.Namespace) -> int:
    """Run `imgrelay verify` and return its exit code: 1 if an image differs from its receipt."""
    found: list[int] = []
    code = run_reading_command(partial(_verify, found), arguments)
    return code or (FAILED if sum(found) else SUCCESS)


def _verify(found: list[int], arguments: argparse.Namespace, store: ObjectStore, address: str) -> None:
    dataset = choose_dataset(arguments.dataset, stored_datasets(store), address)
    images = stored_images(store, dataset)
    table = None if arguments.json else Table(("PROBLEM", "KEY", "EXPECTED", "FOUND"), (9,))
    for mismatch in find_mismatches(store, images, _lister(address), read=arguments.read):
        found.append(1)
        if table is None:
            sys.stdout.write(json.dumps(asdict(mismatch)) + "\n")
        else:
            table.row(mismatch.problem, mismatch.key, str(mismatch.expected), _text(mismatch.found))
    hint = "; launch the manifest again with verify: true" if found else ""
    print_message(f"{count(len(images))} images of dataset {dataset}, {count(len(found))} of them differ{hint}")


def _text(value: int | str | None) -> str:
    return "" if value is None else str(value)


def _lister(address: str) -> Callable[[], Iterator[ListedObject]] | None:
    if not is_remote(address):
        return None
    from imgrelay_dagster.resources import build_stores  # noqa: PLC0415 - it imports Dagster

    stores = build_stores()
    return partial(stores.list_any, address)


def prune_command(arguments: argparse.Namespace) -> int:
    """Run `imgrelay prune` and return its exit code: 130 if the user declines."""
    declined: list[bool] = []
    code = run_reading_command(partial(_prune, declined), arguments)
    return code or (CANCELED if declined else SUCCESS)


def _prune(declined: list[bool], arguments: argparse.Namespace, store: ObjectStore, address: str) -> None:
    dataset = choose_dataset(arguments.dataset, stored_datasets(store), address)
    run_id = choose_run(store, address, dataset, arguments.run)[1] if arguments.run else None
    summary = _basis(run_id, store, dataset)
    keys, shared = find_leftovers(store, dataset, summary.run_id)
    if arguments.json:
        sys.stdout.writelines(json.dumps({"key": key}) + "\n" for key in keys)
    else:
        shown = keys if arguments.dry_run else keys[:KEYS_SHOWN]
        sys.stdout.writelines(f"{key}\n" for key in shown)
    stay = f"; {count(shared)} more stay, because another dataset has them too" if shared else ""
    print_message(
        f"{count(len(keys))} images of dataset {dataset} have no line in run {summary.run_id} "
        f"({count(summary.entries)} lines){stay}"
    )
    if arguments.dry_run or not keys:
        return
    if not arguments.yes and not _confirmed(f"Delete {count(len(keys))} images from {address}?"):
        declined.append(True)
        return
    prune(store, dataset, keys)
    print_message(f"deleted {count(len(keys))} images")


def _basis(run_id: str | None, store: ObjectStore, dataset: str) -> Summary:
    """The summary of the run whose lines are the dataset's: the one given by --run, or the latest of a whole manifest.

    Raises:
        RelayError: there is none, or its shard runs have not ended.
    """
    run_ids = [run_id] if run_id else [run.run_id for run in past_runs(store, dataset)]
    summaries = (read_summary(store, dataset, each) for each in run_ids)
    found = next((summary for summary in summaries if summary and (run_id or summary.whole_list)), None)
    if found is None:
        raise RelayError(
            f"no run of dataset {dataset!r} relayed a whole manifest; choose a run whose lines are all that is "
            "wanted with --run"
        )
    if found.status == PARTIAL:
        raise RelayError(f"the shard runs of run {found.run_id} have not ended; prune when they have")
    return found


def _confirmed(question: str) -> bool:
    """Ask the user. Without a terminal the answer is no.

    Raises:
        RelayError: standard input is not a terminal.
    """
    if not sys.stdin.isatty():
        raise RelayError(f"{question} Nobody can answer; give --yes to delete, or --dry-run to look")
    sys.stderr.write(f"imgrelay: {question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
