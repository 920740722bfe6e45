"""Where imgrelay's own objects lie in a destination. Nothing else spells a key below `_relay/`."""

MERGED = "merged.jsonl"
"""The name of the object that holds all receipts of a finished run."""


def relay_prefix(dataset: str) -> str:
    """Where imgrelay keeps its own objects of a dataset."""
    return f"_relay/{dataset}"


def run_receipts(dataset: str, run_id: str) -> str:
    """Prefix of one run's receipts."""
    return f"{relay_prefix(dataset)}/receipts/{run_id}"


def ledger_key(dataset: str, run_id: str) -> str:
    """Where a run's ledger lies in its destination."""
    return f"{run_receipts(dataset, run_id)}/ledger.jsonl.gz"


def shards_ledger_key(dataset: str, run_id: str) -> str:
    """Where the ledger of a run that was cut into shards lies, for them to share and to be joined by. It stays."""
    return f"{relay_prefix(dataset)}/runs/{run_id}/shards/ledger.jsonl.gz"


def lock_key(dataset: str) -> str:
    """Where the lock of a dataset lies in its destination."""
    return f"{relay_prefix(dataset)}/receipts/lock.json"


REPORT = "report.html"
"""The page beside the summary that shows the run at a glance."""


def results_prefix(dataset: str, run_id: str) -> str:
    """Where a run's results lie in the destination."""
    return f"{relay_prefix(dataset)}/runs/{run_id}"


def shards_prefix(dataset: str, coordinator: str) -> str:
    """Where what concerns a coordinator's shards lies in the destination."""
    return f"{results_prefix(dataset, coordinator)}/shards"


SUMMARY = "summary.json"


RESULTS = "results.jsonl"


RECORDS = "_relay"
"""Name of the folder of records in a destination, whose `failed.jsonl` are manifests that nobody has dropped."""
