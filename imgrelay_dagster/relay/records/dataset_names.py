"""Names of datasets: folders under `_relay/` where results of one manifest are kept from run to run."""

import re

from imgrelay_dagster.relay.errors import RelayError

MAX_NAME = 100
"""Characters in a dataset's name."""

_SAFE = re.compile(rf"(?!\.)[A-Za-z0-9._-]{{1,{MAX_NAME}}}")
_FAILED = re.compile(r"(?:.*/)?_relay/([^/]+)/runs/[^/]+/failed\.jsonl(?:\.gz)?")
_SUFFIXES = re.compile(r"(?:\.(?:txt|csv|jsonl|ndjson))?(?:\.gz)?$", re.IGNORECASE)


def dataset_name(manifest_address: str) -> str:
    """The dataset of a manifest: its file's name without suffixes, in safe characters; always a valid name.

    The `failed.jsonl` of a run belongs to the dataset of that run. A name without one safe character gives
    `manifest`. Manifests with the same file name in different folders share a dataset.
    """
    failed = _FAILED.fullmatch(manifest_address)
    name = failed[1] if failed else _SUFFIXES.sub("", manifest_address.rstrip("/").rpartition("/")[2])
    if _SAFE.fullmatch(name):
        return name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".-")[:MAX_NAME].rstrip(".-") or "manifest"


def check_dataset(name: str) -> None:
    """Prove that a name given by hand is one safe path segment.

    Raises:
        RelayError: when it is not.
    """
    if not _SAFE.fullmatch(name):
        shown = name if len(name) <= MAX_NAME else f"{name[:20]}... ({len(name)} characters)"
        raise RelayError(
            f"dataset {shown!r} is no safe name; use 1 to {MAX_NAME} of A-Z a-z 0-9 . _ - and no dot in front"
        )
