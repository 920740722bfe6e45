"""Which local files a run may use. Permission to launch a run must not include access to the host's files.

A path in the run config must lie inside its configured folder. The command line is used by the host's own user: the
paths in its arguments are allowed too, through two environment variables of its own process, for its run only.
"""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from imgrelay_dagster.config import environment
from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.keys import RESERVED_ROOT
from imgrelay_dagster.relay.redact import redact
from imgrelay_dagster.relay.storage.addresses import absolute, is_remote, split_object_address
from imgrelay_dagster.relay.storage.bucket_names import find_bucket_problem
from imgrelay_dagster.relay.storage.source_access import ANYTHING
from imgrelay_dagster.relay.urls import check_url

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
STORE_SCHEMES = ("s3://", "gs://", "az://")


def check_local_path(what: str, address: str, folders: Iterable[str]) -> None:
    """Check that a remote address is of a known store, and that a local one lies inside one of `folders`.

    Raises:
        RelayError: it is not, or its bucket or its prefix is not valid.
    """
    if what == "destination" and RESERVED_ROOT in absolute(address).casefold().split("/"):
        raise RelayError(
            f"{what} {redact(address)!r} is below {RESERVED_ROOT}, where imgrelay keeps its records; use another prefix"
        )
    if is_remote(address):
        if not address.startswith(STORE_SCHEMES):
            raise RelayError(f"{what} {redact(address)!r} is not in a known store; write {_EXAMPLES[what]}")
        if not address.split("/")[2]:
            raise RelayError(f"{what} {redact(address)!r} names no bucket; write {_EXAMPLES[what]}")
        if "?" in address or "@" in address.split("/")[2]:
            raise RelayError(
                f"{what} {redact(address)!r} contains user info or a query; credentials belong in the environment, "
                "such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        if not {"", ".", ".."}.isdisjoint(absolute(address).split("/")[3:]) or _CONTROL.search(address):
            raise RelayError(
                f"{what} {redact(address)!r} has an empty segment, a segment of dots, or a control character; "
                f"write {_EXAMPLES[what]}"
            )
        scheme, bucket = address.partition("://")[0], address.split("/")[2]
        problem = find_bucket_problem(scheme, bucket)
        if problem:
            raise RelayError(f"{what} {redact(address)!r} names a bucket {bucket!r} that cannot exist: {problem}")
        return
    local = [Path(absolute(folder)) for folder in folders if folder and not is_remote(folder)]
    path = Path(absolute(address))
    if any(path.is_relative_to(folder) for folder in [*local, *_argument_paths()]):
        return
    inside = " or ".join(map(str, local)) or "no local folder"
    raise RelayError(
        f"{what} {address!r} lies outside the folders that runs may use ({inside}); "
        f"use a path inside them, or set {_VARIABLES[what]} where Dagster runs"
    )


_EXAMPLES = {
    "destination": "s3://bucket/prefix or a folder",
    "manifest": "s3://bucket/path/to/list.csv or a local path",
    "template folder": "s3://bucket/templates or a folder",
}
_VARIABLES = {"destination": "IMGRELAY_DESTINATION", "manifest": "IMGRELAY_MANIFESTS"}


def allowed_originals() -> tuple[str, ...]:
    """The addresses of stores and folders whose images a run may read, besides those on the web."""
    anything = (ANYTHING,) if environment.ARGUMENT_ORIGINALS.get() else ()
    return (*environment.ORIGINALS.get(), *anything)


def manifest_folders() -> list[str]:
    """The folders from which manifests may be read."""
    inbox = environment.INBOX.get()
    folders = [environment.MANIFESTS.get(), *([inbox] if inbox else [])]
    return [*folders, "examples", environment.DESTINATION.get()]


def resolve_manifest(manifest: str) -> str:
    """The normal form of a manifest's address. A relative path may also be relative to the manifest folder.

    Raises:
        RelayError: runs may not read it, or it names no object of a store.
    """
    if manifest.startswith(("https://", "http://")):  # behind the address guard, as images are
        try:
            check_url(manifest)
        except EntryFailure as failure:
            raise RelayError(f"manifest {redact(manifest)!r} cannot be used: {failure.detail}") from None
        return manifest
    if is_remote(manifest):
        check_local_path("manifest", manifest, [])
        if not manifest.endswith("/"):  # otherwise it is a folder of pictures
            split_object_address(manifest)
        return manifest
    manifest = manifest.removeprefix("file://")
    folders = manifest_folders()
    first = folders[0]
    address = absolute(manifest)
    relative = not manifest.startswith(("/", "~"))
    if relative and not os.path.exists(address) and not is_remote(first):  # noqa: PTH110 - it never raises
        address = absolute(str(Path(first) / manifest))
    check_local_path("manifest", address, folders)
    return address


def allow_arguments(paths: Iterable[str]) -> None:
    """Allow the run of this process to use these local paths, which its user named, and any original."""
    environment.ARGUMENT_ORIGINALS.set("1")
    known = [*map(str, _argument_paths()), *(absolute(path) for path in paths if not is_remote(path))]
    environment.ARGUMENT_PATHS.set(json.dumps(known))


def _argument_paths() -> list[Path]:
    return [Path(path) for path in environment.ARGUMENT_PATHS.get()]


def allow_template(template: str) -> str:
    """Allow the run of this process to use a template, given by name or by path; returns its name.

    A bare name is first looked up in the folder `IMGRELAY_TEMPLATES`, if that is set, then in the current folder. If it
    is in neither, it is a name in the template folder. If that is in a store, every bare name is.

    Raises:
        RelayError: it is not a valid path.
    """
    environment.ARGUMENT_TEMPLATE.set(None)
    folder = environment.TEMPLATES.get()
    in_folder = folder and (is_remote(folder) or os.path.isfile(f"{folder}/{template}"))  # noqa: PTH113 - never raises
    if "/" not in template and (in_folder or not os.path.isfile(template)):  # noqa: PTH113
        return template
    path = Path(absolute(template))
    environment.ARGUMENT_TEMPLATE.set(str(path))
    return path.name
