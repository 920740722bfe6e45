"""Profiles: named settings in the file `IMGRELAY_PROFILES`, and rules which manifests take which profile.

    profiles:
      watermarks:
        template: badge.png
        layout: {mode: watermark}
        output: {format: png}
    rules:
      - {manifests: "watermarked/*", profile: watermarks}
      - {days: true, profile: watermarks}

The list `assets` adds daily assets (`asset_entries.py`).

A file `NAME.yaml` beside the manifest `NAME.csv` (its sidecar) names a profile, or holds settings, or both. A profile
that a launch names wins over a sidecar, a sidecar over the profile of a daily asset, that over the rules, and values in
the run config over all of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.config import environment
from imgrelay_dagster.config.form_errors import refuse_unknown
from imgrelay_dagster.config.run_config import RelayConfig
from imgrelay_dagster.config.run_options import RelayOptions
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.storage.addresses import absolute, is_remote, split_object_address
from imgrelay_dagster.relay.storage.error_text import explain

NONE = "none"
"""The name that stands for no profile, whatever rules and sidecar say."""

APPLIED = "applied:"
"""Prefix of the name of a profile whose values are in the run config already."""

NOT_IN_PROFILES = {"profile", "dataset", "shard", "refresh", "verify", "dry_run", "max_concurrent"}
"""Options that belong to one run, not to a kind of manifest."""

MAX_BYTES = 1_000_000
"""Largest file of profiles."""

Open = Callable[[str], ObjectStore]


@dataclass(frozen=True)
class Chosen:
    """The settings that a manifest takes: the profile's name, if it has one, and the values."""

    name: str | None
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Profiles:
    """The content of the file of profiles."""

    profiles: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: tuple[dict[str, Any], ...] = ()
    assets: tuple[dict[str, Any], ...] = ()

    def get(self, name: str) -> Chosen:
        """The profile of this name.

        Raises:
            RelayError: there is none.
        """
        if name not in self.profiles:
            known = (
                f"there are {', '.join(self.profiles)}" if self.profiles else "IMGRELAY_PROFILES names no file of any"
            )
            raise RelayError(f"there is no profile {name!r}; {known}")
        return Chosen(name, self.profiles[name])

    def by_rule(self, manifest: str, *, asset: str | None) -> Chosen | None:
        """The profile of the first rule that the manifest fits. `asset` is the daily asset that it belongs to."""
        for rule in self.rules:
            pattern, days = rule.get("manifests"), rule.get("days")
            fits = pattern is not None and _fits(manifest, str(pattern))
            if fits or (asset is not None and (days is True or days == asset)):
                return self.get(str(rule["profile"]))
        return None


def load_profiles(open_store: Open) -> Profiles:
    """The profiles of `IMGRELAY_PROFILES`; none if it is not set.

    Raises:
        RelayError: the file cannot be read, or a setting in it is not valid.
    """
    address = environment.PROFILES.get()
    if not address:
        return Profiles()
    content = _read_yaml(address, open_store)
    if content is None:
        raise RelayError(f"the file of profiles {address!r} does not exist; IMGRELAY_PROFILES names it")
    unknown = set(content) - {"profiles", "rules", "assets"}
    profiles = content.get("profiles") or {}
    rules, assets = (content.get(name) or [] for name in ("rules", "assets"))
    if unknown or not isinstance(profiles, dict) or not isinstance(rules, list) or not isinstance(assets, list):
        raise RelayError(
            f"the file of profiles {address!r} must hold a mapping `profiles`, a list `rules` and a list `assets`"
        )
    for name, values in profiles.items():
        _check_values(values, f"profile {name!r}")
    for rule in rules:
        fields = set(rule) if isinstance(rule, dict) else set()
        if "profile" not in fields or not fields - {"profile"} or fields - {"profile", "manifests", "days"}:
            raise RelayError(
                f"rule {rule!r} of {address!r} must have profile, and manifests (a pattern) or days (true, or the name "
                "of a daily asset)"
            )
    found = Profiles(profiles, tuple(rules), tuple(assets))
    for rule in rules:
        found.get(str(rule["profile"]))
    return found


def choose(
    name: str | None,
    manifest: str | None,
    open_store: Open,
    *,
    asset: str | None = None,
    asset_profile: str | None = None,
) -> Chosen | None:
    """The settings for a manifest: of the named profile, its sidecar, its daily asset, or a rule; None if it has none.

    Args:
        asset: the daily asset that the manifest belongs to.
        asset_profile: the profile that the file of profiles gives that asset.

    Raises:
        RelayError: a file cannot be read, a setting is not valid, or there is no such profile.
    """
    if name == NONE:
        return None
    if name is not None:
        return load_profiles(open_store).get(name)
    if manifest is None:
        return None
    profiles = load_profiles(open_store)
    sidecar = _read_yaml(sidecar_address(manifest), open_store)
    if sidecar is None:
        return profiles.get(asset_profile) if asset_profile else profiles.by_rule(manifest, asset=asset)
    own = {field: value for field, value in sidecar.items() if field != "profile"}
    _check_values(own, f"{sidecar_address(manifest)!r}")
    if "profile" not in sidecar:
        return Chosen(None, own)
    base = profiles.get(str(sidecar["profile"]))
    return Chosen(base.name, merge(base.values, own))


def sidecar_address(manifest: str) -> str:
    """The address of a manifest's sidecar: `a/birds.yaml` for `a/birds.csv.gz`."""
    folder, slash, name = manifest.rpartition("/")
    stem = name.removesuffix(".gz")
    return f"{folder}{slash}{stem.rpartition('.')[0] or stem}.yaml"


def merge(values: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """The values, with those of `over` in their place; sections are merged field by field."""
    merged = dict(values)
    for name, value in over.items():
        before = merged.get(name)
        merged[name] = merge(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return merged


def changed_values(config: RelayOptions) -> dict[str, Any]:
    """The values of a run config that differ from the defaults: what a person has set, as far as one can see."""
    kind: type[RelayOptions] = RelayOptions
    defaults = kind(**{}).model_dump()
    defaults["destination"] = absolute(environment.DESTINATION.get())
    given = {name: value for name, value in config.model_dump().items() if name in defaults}
    return {name: value for name, value in _difference(given, defaults).items() if name not in NOT_IN_PROFILES}


def with_values(config: RelayConfig, values: Mapping[str, Any]) -> RelayConfig:
    """The run config with these values, checked.

    Raises:
        RelayError: a value is not valid.
    """
    merged = merge(config.model_dump(), values)
    sources = {name: merged.pop(name) for name in ("urls", "url_lines", "manifest", "sample")}
    # Sources are resolved already, and those of a day or a shard are not in its run config.
    checked = RelayOptions.checked(merged)
    return RelayConfig(**{**checked.model_dump(), **sources})


def _difference(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in given.items():
        default = defaults.get(name)
        if isinstance(value, dict) and isinstance(default, dict):
            different = _difference(value, default)
            if different:
                found[name] = different
        elif value != default:
            found[name] = value
    return found


def _check_values(values: Any, where: str) -> None:
    try:
        if not isinstance(values, dict):
            raise RelayError("it is not a mapping of settings")
        for name in NOT_IN_PROFILES & set(values):
            raise RelayError(f"{name} belongs to one run")
        refuse_unknown(RelayOptions, values)
        RelayOptions.checked(values)
    except RelayError as error:
        raise RelayError(f"{where}: {error}") from error


def _fits(manifest: str, pattern: str) -> bool:
    """Whether the whole address fits the pattern, or its end from a folder on."""
    parts = manifest.split("/")
    return any(fnmatchcase("/".join(parts[at:]), pattern) for at in range(len(parts)))


def _read_yaml(address: str, open_store: Open) -> dict[str, Any] | None:
    """The mapping in a YAML file; None if there is no such file."""
    try:
        if is_remote(address):
            place, key = split_object_address(address)
            text = bytes(open_store(place).get(key).bytes())
        else:
            text = Path(absolute(address)).read_bytes()
        content = yaml.safe_load(text[:MAX_BYTES].decode())
    except FileNotFoundError:
        return None
    except (BaseError, OSError) as error:
        raise RelayError(f"{address!r} cannot be read: {explain(error)}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        raise RelayError(f"{address!r} is not valid YAML" + (f", line {mark.line + 1}" if mark else "")) from None
    if content is not None and not isinstance(content, dict):
        raise RelayError(f"{address!r} is not a mapping of settings")
    return content or {}
