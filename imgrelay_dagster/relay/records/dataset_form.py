"""`form.json`: the settings with which a dataset was last relayed, for automatic launches that give none."""

import json
from typing import Any

from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.records.layout import form_key
from imgrelay_dagster.relay.storage.error_text import explain
from imgrelay_dagster.relay.storage.objects import put_object


def write_form(store: ObjectStore, dataset: str, values: dict[str, Any]) -> None:
    """Record the values of a run config that differ from the defaults."""
    put_object(store, form_key(dataset), json.dumps(values, indent=2).encode() + b"\n", "application/json")


def read_form(store: ObjectStore, dataset: str) -> dict[str, Any]:
    """The recorded values; none for a dataset that was never relayed.

    Raises:
        RelayError: the destination cannot be read.
    """
    try:
        found = json.loads(bytes(store.get(form_key(dataset)).bytes()))
    except (FileNotFoundError, ValueError):
        return {}
    except (BaseError, OSError) as error:
        raise RelayError(f"the destination cannot be read: {explain(error)}") from error
    return found if isinstance(found, dict) else {}
