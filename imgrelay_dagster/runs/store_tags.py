"""How a run's destination is opened, as a run tag: housekeeping opens it after the run's own processes have ended."""

from collections.abc import Mapping

from dagster._core.storage.tags import HIDDEN_TAG_PREFIX
from pydantic import TypeAdapter, ValidationError

from imgrelay_dagster.relay.storage.store_options import DEFAULT_OPTIONS, StoreOptions

STORE_TAG = f"{HIDDEN_TAG_PREFIX}imgrelay_store"

_options_json = TypeAdapter(StoreOptions)


def store_tags(options: StoreOptions) -> dict[str, str]:
    """The tag for these options."""
    return {STORE_TAG: _options_json.dump_json(options).decode()}


def store_options(tags: Mapping[str, str]) -> StoreOptions:
    """The options of a run with these tags; the default ones where there is no valid tag."""
    try:
        return _options_json.validate_json(tags.get(STORE_TAG, ""))
    except ValidationError:
        return DEFAULT_OPTIONS
