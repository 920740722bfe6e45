"""The daily assets that the file of profiles adds, in its list `assets`.

    assets:
      - name: thumbnails
        profile: thumbnails
        manifests: "thumbnails/{day}.csv"
        description: Small pictures for the shop.
        owners: ["team:catalog", "anna@example.com"]
        kinds: [s3]
        tags: {domain: catalog}

An entry with the name `relayed_images` describes the asset that is always there.
"""

import re
from typing import Any

import dagster as dg
from dagster._check import CheckError

from imgrelay_dagster.config.profiles import Profiles
from imgrelay_dagster.relay.errors import RelayError

FIELDS = ("name", "profile", "manifests", "description", "owners", "kinds", "tags")

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}")
_TAKEN = {
    "daily_manifests", "relay", "relay_graph", "plan", "plan_day", "download", "compose", "upload", "report",
    "report_day",
}  # fmt: skip
"""Names of other things that Dagster is shown."""


def checked_entries(profiles: Profiles) -> list[dict[str, Any]]:
    """The entries of the file, checked.

    Raises:
        RelayError: an entry is not valid, or two have the same name.
    """
    names = set[str]()
    for entry in profiles.assets:
        name = _check_fields(entry)
        if name in names:
            raise RelayError(f"asset {name!r} stands twice in the file of profiles; leave one of them")
        names.add(name)
        if entry.get("profile") is not None:
            profiles.get(entry["profile"])
        pattern = entry.get("manifests")
        if pattern is not None and "{day" not in pattern:
            example = f"{name}/{{day}}.csv"
            raise RelayError(f"asset {name!r}: manifests {pattern!r} has no {{day}} in it; write {example!r}")
        _check_in_dagster(entry)
    return [dict(entry) for entry in profiles.assets]


def _check_fields(entry: dict[str, Any]) -> str:
    """Check the types of an entry's fields; returns its name."""
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str):
        raise RelayError(f"asset {entry!r} of the file of profiles has no name; write - name: NAME")
    if not _NAME.fullmatch(name) or name in _TAKEN or name.startswith("_"):
        raise RelayError(f"asset {name!r}: use another name, of at most 60 letters, digits and underscores")
    for field, value in entry.items():
        if field not in FIELDS:
            raise RelayError(f"asset {name!r}: {field} is not a field of an asset; they are {', '.join(FIELDS)}")
        is_list = isinstance(value, list) and all(isinstance(each, str) for each in value)
        is_mapping = isinstance(value, dict) and all(isinstance(each, str) for pair in value.items() for each in pair)
        match field:
            case "owners" | "kinds":
                valid, wanted = is_list, "a list of texts"
            case "tags":
                valid, wanted = is_mapping, "a mapping of texts"
            case _:
                valid, wanted = isinstance(value, str), "a text"
        if not valid:
            raise RelayError(f"asset {name!r}: {field} {value!r} is not {wanted}")
    return name


def _check_in_dagster(entry: dict[str, Any]) -> None:
    """Check what Dagster demands of owners, kinds and tags.

    Raises:
        RelayError: it refuses one.
    """
    try:
        dg.AssetSpec(
            entry["name"],
            owners=entry.get("owners"),
            kinds=set(entry.get("kinds") or ()),
            tags=entry.get("tags"),
        )
    except (dg.DagsterInvalidDefinitionError, CheckError) as error:
        raise RelayError(f"asset {entry['name']!r}: {' '.join(str(error).split())}") from None
