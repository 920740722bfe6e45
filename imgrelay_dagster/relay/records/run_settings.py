"""`settings.json`: the settings of a run, kept beside its results, without credentials."""

from dataclasses import replace

from obstore.exceptions import BaseError
from obstore.store import ObjectStore
from pydantic import TypeAdapter, ValidationError

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.records.layout import run_settings_key
from imgrelay_dagster.relay.redact import redact
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.error_text import explain
from imgrelay_dagster.relay.storage.objects import put_object

settings_json = TypeAdapter(Settings)


def write_run_settings(store: ObjectStore, settings: Settings, run_id: str) -> None:
    """Write a run's `settings.json`. The address of a proxy loses its user info."""
    limits = settings.limits
    if limits.proxy is not None:
        limits = replace(limits, proxy=redact(limits.proxy))
    data = settings_json.dump_json(replace(settings, limits=limits), indent=2) + b"\n"
    put_object(store, run_settings_key(settings.dataset, run_id), data, "application/json")


def read_run_settings(store: ObjectStore, dataset: str, run_id: str) -> Settings | None:
    """A run's settings; None if it has none, as runs of earlier versions.

    Raises:
        RelayError: the destination cannot be read.
    """
    try:
        return settings_json.validate_json(bytes(store.get(run_settings_key(dataset, run_id)).bytes()))
    except (FileNotFoundError, ValidationError):
        return None
    except (BaseError, OSError) as error:
        raise RelayError(f"the destination cannot be read: {explain(error)}") from error
