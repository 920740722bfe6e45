"""Where the manifest of a period is."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from obstore.store import ObjectStore

from imgrelay_dagster.automation.partitions import NOUNS, describe, period_kind, period_start
from imgrelay_dagster.config import environment
from imgrelay_dagster.config.allowed_paths import check_local_path, manifest_folders
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.sources import ManifestFile, find_manifest
from imgrelay_dagster.relay.manifest_formats import MANIFEST_SUFFIXES
from imgrelay_dagster.relay.storage.addresses import absolute


def manifest_addresses(period: str, given: str | None = None) -> list[str]:
    """The addresses at which the period's manifest may be.

    The pattern is a name below `$IMGRELAY_MANIFESTS` that contains the period: `{day}` for 2026-11-23 (or
    2026-11-23-14), or its parts as in `{day:%Y/%m/%d}`. A pattern with a manifest's suffix gives one address; a pattern
    without one gives an address for each suffix.

    Args:
        period: the key of the partition.
        given: the pattern of the asset; None for `$IMGRELAY_MANIFEST_PATTERN`.

    Raises:
        RelayError: the pattern does not contain the period, or leads out of the manifest folder.
    """
    pattern, noun = given or environment.MANIFEST_PATTERN.get(), NOUNS[period_kind()]
    what = "IMGRELAY_MANIFEST_PATTERN" if given is None else "the pattern of manifests"
    start = period_start(period)
    others = [start.replace(year=1, day=1)] + ([start.replace(hour=(start.hour + 1) % 24)] * (noun == "hour"))
    hint = _HOUR_HINT if noun == "hour" else _PATTERN_HINT
    try:
        name, *other_names = (pattern.format(day=each) for each in (start, *others))
    except (LookupError, ValueError, AttributeError) as error:
        raise RelayError(f"{what} {pattern!r} cannot be read: {error}; {hint}") from error
    if name in other_names:
        raise RelayError(f"{what} {pattern!r} is the same for every {noun}; {hint}")
    folder = absolute(manifest_folders()[0])
    names = [name] if name.lower().endswith(MANIFEST_SUFFIXES) else [name + suffix for suffix in MANIFEST_SUFFIXES]
    addresses = [f"{folder}/{name}" for name in names]
    for address in addresses:
        check_local_path("manifest", address, [folder])
    return addresses


_PATTERN_HINT = "write a name with {day} in it, such as {day}.csv or {day:%Y/%m/%d}/images.jsonl.gz"
_HOUR_HINT = "write a name with the hour in it, such as {day}.csv or {day:%Y/%m/%d/%H}/images.jsonl.gz"


def find_period_manifest(
    period: str, open_place: Callable[[str], ObjectStore], pattern: str | None = None
) -> ManifestFile | None:
    """Find the period's manifest; None if there is none yet.

    Raises:
        RelayError: the period has more than one manifest, or the manifests cannot be looked up.
    """
    with ThreadPoolExecutor(len(MANIFEST_SUFFIXES)) as threads:
        found = threads.map(lambda address: find_manifest(address, open_place), manifest_addresses(period, pattern))
        manifests = [manifest for manifest in found if manifest]
    if len(manifests) > 1:
        names = " and ".join(manifest.address for manifest in manifests)
        raise RelayError(f"{describe(period)} has more than one manifest: {names}; leave one of them")
    return manifests[0] if manifests else None


def describe_locations(period: str, pattern: str | None = None) -> str:
    """The addresses at which the period's manifest may be, as text for a message."""
    first, *others = manifest_addresses(period, pattern)
    if not others:
        return first
    return f"{first.removesuffix(MANIFEST_SUFFIXES[0])} with {', '.join(MANIFEST_SUFFIXES)}"
