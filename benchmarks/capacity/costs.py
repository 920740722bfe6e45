"""The costs of a run on Celery workers, as measured by `measure.py`: one set for each kind of picture."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = Path(__file__).parent / "costs.json"
STAGES = ("download", "compose", "upload")
PUTS, GETS, DELETES = "puts", "gets", "deletes"
"""Classes of requests to the store, by price: list requests count as `puts`, and `deletes` are free."""


@dataclass(frozen=True)
class Costs:
    """Costs per entry and per step. A step's costs are added to those of its entries. CPU in seconds, sizes in bytes.

    Attributes:
        entry_cpu: worker CPU per entry, by stage.
        step_cpu: worker CPU per step.
        planning, reporting: worker CPU per manifest line in `plan` and in `report`.
        reading: worker CPU per ledger line. Each shard run reads the whole ledger.
        loop_cpu, broker_cpu: CPU of the run's own process and of Redis per step.
        waits: requests to staging and destination that an entry waits for, by stage.
        entry_requests, step_requests: all requests to the S3 server per entry and per step, by class.
        step_rows: rows in the event log per step.
        row_cpu, row_bytes: CPU and size of the database per row; its other work is included.
        bytes_in, bytes_out: size of a downloaded image and of a stored one.
        slot_memory: memory of a worker with one slot, with pages shared by its processes counted once.
        predicted: the results of a third run with other tasks, as predicted by these costs; 1.0 is exact.
    """

    entry_cpu: dict[str, float]
    step_cpu: float
    planning: float
    reporting: float
    reading: float
    loop_cpu: float
    broker_cpu: float
    waits: dict[str, float]
    entry_requests: dict[str, float]
    step_requests: dict[str, float]
    step_rows: float
    row_cpu: float
    row_bytes: float
    bytes_in: float
    bytes_out: float
    slot_memory: float
    predicted: dict[str, float]

    def requests(self, kind: str, entries: float, steps: float) -> float:
        """Return the number of requests of a class to the S3 server."""
        return entries * self.entry_requests[kind] + steps * self.step_requests[kind]


def load() -> dict[str, Costs]:
    """Return the costs that were measured last, by kind of picture."""
    return {kind: Costs(**figures) for kind, figures in json.loads(FILE.read_text()).items()}


def save(measured: dict[str, Costs]) -> None:
    """Store the costs for the simulation."""
    figures = {kind: asdict(costs) for kind, costs in measured.items()}
    FILE.write_text(json.dumps(figures, indent=1) + "\n")
