"""Names of datasets. A dataset keeps the receipts and results of one manifest from run to run."""

import re
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest_formats import without_suffixes
from imgrelay_dagster.relay.records.layout import DATASETS_PREFIX, dataset_of_failed_file
from imgrelay_dagster.relay.storage.error_text import explain

MAX_NAME = 100
"""Characters in a dataset's name."""

SAMPLE_SUFFIX = "-sample"

_SAFE = re.compile(rf"(?!\.)[A-Za-z0-9._-]{{1,{MAX_NAME}}}")


def dataset_name(manifest_address: str) -> str:
    """The default dataset of a manifest: its file name without suffixes, in safe characters. Always a valid name.

    The `failed.jsonl` of a run has the dataset of that run. A file name without a safe character gives `manifest`.
    Manifests with the same file name in different folders share a dataset.
    """
    if manifest_address.startswith(("https://", "http://")):
        manifest_address = urlsplit(manifest_address).path  # a query may hold a signature
    name = dataset_of_failed_file(manifest_address)
    if name is None:
        name = without_suffixes(manifest_address.rstrip("/").rpartition("/")[2])
    if _SAFE.fullmatch(name):
        return name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".-")[:MAX_NAME].rstrip(".-") or "manifest"


def sample_dataset(name: str) -> str:
    """The dataset of samples of a dataset."""
    return f"{name[: MAX_NAME - len(SAMPLE_SUFFIX)]}{SAMPLE_SUFFIX}"


def check_dataset(name: str) -> None:
    """Check that a name given by the user is one safe path segment.

    Raises:
        RelayError: it is not.
    """
    if not _SAFE.fullmatch(name):
        shown = name if len(name) <= MAX_NAME else f"{name[:20]}... ({len(name)} characters)"
        raise RelayError(
            f"dataset {shown!r} is not a valid name; use 1 to {MAX_NAME} characters of A-Z a-z 0-9 . _ - "
            "and no dot at the start"
        )


def stored_datasets(store: ObjectStore) -> list[str]:
    """The datasets of a destination, sorted.

    Raises:
        RelayError: the destination cannot be read.
    """
    try:
        found = store.list_with_delimiter(DATASETS_PREFIX)["common_prefixes"]
    except (BaseError, OSError) as error:
        raise RelayError(f"the destination cannot be read: {explain(error)}") from error
    names = (prefix.rstrip("/").rpartition("/")[2] for prefix in found)
    return sorted(name for name in names if not name.startswith("."))  # others are no datasets (layout.py)
