"""The IO manager that passes records (never image bytes) between steps, in the run's scratch space."""

import pickle  # nosec B403 - only what this run's own steps wrote is read
from collections.abc import Callable
from typing import Any

import dagster as dg
from obstore.store import ObjectStore

from imgrelay_dagster.relay.storage.objects import put_object


class RecordIOManager(dg.IOManager):
    """Stores the outputs of a run's ops below the run's ID in staging, of any kind; they are removed with it.

    Args:
        open_staging: opens the staging store. It is called in the step's process, never before a fork.
    """

    def __init__(self, open_staging: Callable[[], ObjectStore]) -> None:
        self._open_staging = open_staging

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Store an op's output."""
        data = pickle.dumps(obj, protocol=pickle.HIGHEST_PROTOCOL)
        put_object(self._open_staging(), _key(context), data, "application/octet-stream", durable=False)

    def load_input(self, context: dg.InputContext) -> Any:
        """Load an op's input."""
        assert context.upstream_output is not None
        data = self._open_staging().get(_key(context.upstream_output)).bytes()
        return pickle.loads(bytes(data))  # nosec B301


def _key(context: dg.OutputContext) -> str:
    """`<run id>/<step>/<output>`, and for a mapped output its key."""
    return "/".join(context.get_identifier())
