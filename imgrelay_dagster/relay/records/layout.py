"""Keys of imgrelay's own objects in a destination. No other module spells a key below the reserved root.

_relay/<dataset>/receipts/form.json                               the settings of its latest run
_relay/<dataset>/receipts/keys.bin                                which keys the dataset has stored
_relay/<dataset>/receipts/lock.json                               the dataset's lock
_relay/<dataset>/receipts/<run id>/ledger.jsonl.gz                until the run has its results
_relay/<dataset>/receipts/<run id>/<writer>-<n>.jsonl             receipts, while the run goes on
_relay/<dataset>/receipts/<run id>/merged.jsonl                   receipts, once the run has its results
_relay/<dataset>/runs/<run id>/{results,failed}.jsonl, results.parquet, failed.csv, {summary,settings}.json, report.html
_relay/<dataset>/runs/<coordinator's id>/shards/ledger.jsonl.gz, plan.json, <shard number>.json
_relay/.partial/                                                  in a folder: files that are being written
"""

import re

from imgrelay_dagster.relay.keys import RESERVED_ROOT

DATASETS_PREFIX = f"{RESERVED_ROOT}/"
"""Prefix of everything that imgrelay keeps for its datasets."""

RESULTS_FILE = "results.jsonl"
"""One line for each manifest line, in manifest order."""

FAILED_FILE = "failed.jsonl"
"""The failed entries, as a manifest."""

FAILED_TABLE_FILE = "failed.csv"
"""The failed entries, as a table for people."""

SETTINGS_FILE = "settings.json"
"""The settings of a run."""

PARQUET_FILE = "results.parquet"
"""The lines of `results.jsonl` as a table, if the library for it is installed."""

SUMMARY_FILE = "summary.json"
"""The counts of a run."""

REPORT_FILE = "report.html"
"""The HTML report of a run."""

RECEIPTS_SUFFIX = ".jsonl"
"""Suffix of an object that holds receipts, merged or not."""

MERGED_RECEIPTS_SUFFIX = "/merged.jsonl"
"""Suffix of an object that holds the receipts of a finished run."""

LEDGER_FILE = "ledger.jsonl.gz"
"""The manifest as a run read it, until the run has its results."""

_FAILED_ADDRESS = re.compile(rf"(?:.*/)?{RESERVED_ROOT}/([^/]+)/runs/[^/]+/{re.escape(FAILED_FILE)}(?:\.gz)?")


def dataset_prefix(dataset: str) -> str:
    """Prefix of everything that imgrelay keeps for a dataset."""
    return f"{RESERVED_ROOT}/{dataset}"


def key_index_key(dataset: str) -> str:
    """Key of the index of the keys that a dataset has stored."""
    return f"{receipts_prefix(dataset)}/keys.bin"


def form_key(dataset: str) -> str:
    """Key of the settings with which a dataset was last relayed."""
    return f"{receipts_prefix(dataset)}/form.json"


def receipts_prefix(dataset: str) -> str:
    """Prefix of the receipts of all runs of a dataset."""
    return f"{dataset_prefix(dataset)}/receipts"


def lock_key(dataset: str) -> str:
    """Key of a dataset's lock."""
    return f"{receipts_prefix(dataset)}/lock.json"


def run_receipts_prefix(dataset: str, run_id: str) -> str:
    """Prefix of one run's receipts."""
    return f"{receipts_prefix(dataset)}/{run_id}"


def ledger_key(dataset: str, run_id: str) -> str:
    """Key of a run's ledger."""
    return f"{run_receipts_prefix(dataset, run_id)}/{LEDGER_FILE}"


def probe_key(dataset: str, run_id: str) -> str:
    """Key of the small object that a run writes and deletes to check its destination."""
    return f"{run_receipts_prefix(dataset, run_id)}/probe"


def clock_key(dataset: str, run_id: str) -> str:
    """Key of the small object that a run writes and deletes to read the store's clock."""
    return f"{run_receipts_prefix(dataset, run_id)}/clock"


def receipts_key(prefix: str, writer: str, part: int) -> str:
    """Key of one object of receipts. `prefix` is the run's, `writer` is unique in the run, `part` counts from 0."""
    return f"{prefix}/{writer}-{part}{RECEIPTS_SUFFIX}"


def merged_receipts_key(prefix: str) -> str:
    """Key of the object with all receipts of a finished run. `prefix` is the run's."""
    return f"{prefix}{MERGED_RECEIPTS_SUFFIX}"


def runs_prefix(dataset: str) -> str:
    """Prefix of the results of all runs of a dataset."""
    return f"{dataset_prefix(dataset)}/runs"


def results_prefix(dataset: str, run_id: str) -> str:
    """Prefix of a run's results."""
    return f"{runs_prefix(dataset)}/{run_id}"


def results_key(dataset: str, run_id: str) -> str:
    """Key of a run's `results.jsonl`."""
    return f"{results_prefix(dataset, run_id)}/{RESULTS_FILE}"


def parquet_key(dataset: str, run_id: str) -> str:
    """Key of a run's `results.parquet`."""
    return f"{results_prefix(dataset, run_id)}/{PARQUET_FILE}"


def failed_key(dataset: str, run_id: str) -> str:
    """Key of a run's `failed.jsonl`."""
    return f"{results_prefix(dataset, run_id)}/{FAILED_FILE}"


def failed_table_key(dataset: str, run_id: str) -> str:
    """Key of a run's `failed.csv`."""
    return f"{results_prefix(dataset, run_id)}/{FAILED_TABLE_FILE}"


def run_settings_key(dataset: str, run_id: str) -> str:
    """Key of a run's `settings.json`."""
    return f"{results_prefix(dataset, run_id)}/{SETTINGS_FILE}"


def summary_key(dataset: str, run_id: str) -> str:
    """Key of a run's `summary.json`."""
    return f"{results_prefix(dataset, run_id)}/{SUMMARY_FILE}"


def report_key(dataset: str, run_id: str) -> str:
    """Key of a run's `report.html`."""
    return f"{results_prefix(dataset, run_id)}/{REPORT_FILE}"


def run_of_settings(key: str) -> str | None:
    """The id of the run whose `settings.json` has this key; None for any other key."""
    folder, _, name = key.rpartition("/")
    return folder.rpartition("/")[2] if name == SETTINGS_FILE else None


def run_of_summary(key: str) -> str | None:
    """The id of the run whose `summary.json` has this key; None for any other key."""
    folder, _, name = key.rpartition("/")
    return folder.rpartition("/")[2] if name == SUMMARY_FILE else None


def dataset_of_failed_file(address: str) -> str | None:
    """The dataset of the run whose `failed.jsonl` (plain or gzip) has this address; None for any other address."""
    found = _FAILED_ADDRESS.fullmatch(address)
    return found[1] if found else None


def shards_prefix(dataset: str, coordinator: str) -> str:
    """Prefix of what a coordinator and its shard runs share."""
    return f"{results_prefix(dataset, coordinator)}/shards"


def shards_ledger_key(dataset: str, coordinator: str) -> str:
    """Key of a coordinator's ledger, which its shard runs and the merge of their results read. It is never deleted."""
    return f"{shards_prefix(dataset, coordinator)}/{LEDGER_FILE}"


def shard_plan_key(dataset: str, coordinator: str) -> str:
    """Key of a coordinator's `plan.json`."""
    return f"{shards_prefix(dataset, coordinator)}/plan.json"


def shard_summary_key(dataset: str, coordinator: str, number: int) -> str:
    """Key of the summary of shard `number` (from 1)."""
    return f"{shards_prefix(dataset, coordinator)}/{number}.json"


def shard_of_summary(key: str) -> int | None:
    """The number of the shard whose summary has this key below `shards_prefix`; None for any other key."""
    name = key.rpartition("/")[2].removesuffix(".json")
    return int(name) if name.isdecimal() else None
