"""Which dataset and which run a command shows: those that its arguments name, or the only or latest one."""

from obstore.store import ObjectStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.formatting import count
from imgrelay_dagster.relay.records.dataset_names import stored_datasets
from imgrelay_dagster.relay.results.history import past_runs

NAMES_SHOWN = 8
"""How many valid names an error message lists."""


def choose_run(store: ObjectStore, address: str, dataset: str | None, run: str | None) -> tuple[str, str]:
    """Return the dataset and the run ID.

    Args:
        address: the destination's address, for messages.
        dataset: the name that was given, if it was.
        run: a run ID or the beginning of one; None for the latest run.

    Raises:
        RelayError: there is no such dataset or run, or more than one.
    """
    names = stored_datasets(store)
    if dataset is None and run is not None and len(names) > 1:
        found = [(name, past.run_id) for name in names for past in past_runs(store, name) if past.run_id == run]
        found = found or [
            (name, past.run_id) for name in names for past in past_runs(store, name) if past.run_id.startswith(run)
        ]
        if len(found) == 1:
            return found[0]
    chosen = choose_dataset(dataset, names, address)
    return chosen, _run(run, store, chosen)


def choose_dataset(wanted: str | None, names: list[str], address: str) -> str:
    """Return the dataset that was named, or the only one of `names`.

    Raises:
        RelayError: there is none, or more than one and none was named.
    """
    if not names:
        raise RelayError(f"nothing has been relayed to {address} yet")
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in names:
        return wanted
    problem = "there are several datasets; choose one with --dataset" if wanted is None else f"no dataset {wanted!r}"
    raise RelayError(f"{problem}; {address} holds {_shortened(names)}")


def _run(wanted: str | None, store: ObjectStore, dataset: str) -> str:
    run_ids = [run.run_id for run in past_runs(store, dataset)]
    if not run_ids:
        raise RelayError(f"no run of dataset {dataset!r} has results yet; a run writes them at its end")
    if wanted is None:
        return run_ids[0]
    found = [run_id for run_id in run_ids if run_id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    problem = "several runs begin with" if found else "no run"
    raise RelayError(f"{problem} {wanted!r} in dataset {dataset!r}; there are {_shortened(found or run_ids)}")


def _shortened(names: list[str]) -> str:
    more = f" and {count(len(names) - NAMES_SHOWN)} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more
