"""Which local files a run may touch. Whoever can launch a run must not thereby read or write the host's files.

A path in the run config has to lie inside its configured folder. The command line belongs to the host's own
user: it puts what it was given as arguments into two variables of its own process, for its run only.
"""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from imgrelay_dagster.config import environment
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.redact import redact
from imgrelay_dagster.relay.storage.addresses import absolute, is_remote, split_object_address

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
STORE_SCHEMES = ("s3://", "gs://", "az://")


def local_path_allowed(what: str, address: str, folders: Iterable[str]) -> None:
    """Check that a store address is one of ours and that a local one lies inside one of `folders`.

    Raises:
        RelayError: it does not.
    """
    if is_remote(address):
        if not address.startswith(STORE_SCHEMES):
            raise RelayError(f"{what} {redact(address)!r} is in no store; write {_WAYS[what]}")
        if not address.split("/")[2]:
            raise RelayError(f"{what} {redact(address)!r} names no bucket; write {_WAYS[what]}")
        if "?" in address or "@" in address.split("/")[2]:
            raise RelayError(
                f"{what} {redact(address)!r} holds user info or a query; credentials belong in the environment, "
                "such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        if not {"", ".", ".."}.isdisjoint(absolute(address).split("/")[3:]) or _CONTROL.search(address):
            raise RelayError(
                f"{what} {redact(address)!r} has an empty part, a dot for one or a control character; "
                f"write {_WAYS[what]}"
            )
        return
    local = [Path(absolute(folder)) for folder in folders if folder and not is_remote(folder)]
    path = Path(absolute(address))
    if any(path.is_relative_to(folder) for folder in [*local, *_argument_paths()]):
        return
    inside = " or ".join(map(str, local)) or "no local folder"
    raise RelayError(
        f"{what} {address!r} lies outside what runs may use ({inside}); "
        f"use a path inside it, or set {_VARIABLE[what]} where Dagster runs"
    )


_WAYS = {"destination": "s3://bucket/prefix or a folder", "manifest": "s3://bucket/path/to/list.csv or a local path"}
_VARIABLE = {"destination": "IMGRELAY_DESTINATION", "manifest": "IMGRELAY_MANIFESTS"}


def manifest_folders() -> list[str]:
    """The folders that manifests may be read from."""
    inbox = environment.INBOX.get()
    folders = [environment.MANIFESTS.get(), *([inbox] if inbox else [])]
    return [*folders, "examples", environment.DESTINATION.get()]


def resolve_manifest(manifest: str) -> str:
    """A manifest's address in one spelling; a bare name is looked up in the manifest folder too.

    Raises:
        RelayError: it lies where runs may not read, or names no object of a store.
    """
    if is_remote(manifest):
        local_path_allowed("manifest", manifest, [])
        split_object_address(manifest)
        return manifest
    manifest = manifest.removeprefix("file://")
    folders = manifest_folders()
    first = folders[0]
    address = absolute(manifest)
    relative = not manifest.startswith(("/", "~"))
    if relative and not os.path.exists(address) and not is_remote(first):  # noqa: PTH110 - it never raises
        address = absolute(str(Path(first) / manifest))
    local_path_allowed("manifest", address, folders)
    return address


def allow_arguments(paths: Iterable[str]) -> None:
    """Let the run of this process use these local paths: its user named them on the command line."""
    known = [*map(str, _argument_paths()), *(absolute(path) for path in paths if not is_remote(path))]
    environment.ARGUMENT_PATHS.set(json.dumps(known))


def _argument_paths() -> list[Path]:
    return [Path(path) for path in environment.ARGUMENT_PATHS.get()]


def allow_template(template: str) -> str:
    """The name by which the run of this process finds a template, given by name or by its path.

    A bare name is that of a file in the template folder where `IMGRELAY_TEMPLATES` names one that has it, else one of
    a file here, else again one in the template folder.

    Raises:
        RelayError: it cannot be a path.
    """
    environment.ARGUMENT_TEMPLATE.set(None)
    folder = environment.TEMPLATES.get()
    in_folder = folder and os.path.isfile(f"{folder}/{template}")  # noqa: PTH113 - it never raises
    if "/" not in template and (in_folder or not os.path.isfile(template)):  # noqa: PTH113
        return template
    path = Path(absolute(template))
    environment.ARGUMENT_TEMPLATE.set(str(path))
    return path.name
