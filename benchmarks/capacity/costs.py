"""What a run on Celery workers costs, as measured (`measure.py`): one set of figures for each kind of picture."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = Path(__file__).parent / "costs.json"
STAGES = ("download", "compose", "upload")
PUTS, GETS, DELETES = "puts", "gets", "deletes"
"""Classes of requests to the store as they are priced: lists are among the `puts`, `deletes` are free."""


@dataclass(frozen=True)
class Costs:
    """Costs that add up. Those of a step come on top of those of its entries. CPU is in core seconds, sizes in bytes.

    Attributes:
        entry_cpu: of the workers, by stage.
        step_cpu: of the workers, for a step.
        planning, telling: of the workers, for a manifest line in the plan and in the report.
        reading: of the workers, for a line of the ledger, which each shard run reads whole.
        loop_cpu, broker_cpu: of the run's own process and of Redis, for a step.
        waits: requests to staging and destination that an entry waits for, by stage.
        entry_requests, step_requests: all requests to the S3 server, by class.
        step_rows: in the event log.
        row_cpu, row_bytes: of the database for each of them, all that is asked of it shared over the rows.
        bytes_in, bytes_out: of an image as it comes and as it is stored.
        slot_memory: of a worker with one slot, with pages that its processes share counted once.
        predicted: figures of a third run, cut otherwise, as these costs predict them: 1.0 is to the point.
    """

    entry_cpu: dict[str, float]
    step_cpu: float
    planning: float
    telling: float
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
        """Requests of a class to the S3 server."""
        return entries * self.entry_requests[kind] + steps * self.step_requests[kind]


def load() -> dict[str, Costs]:
    """The figures that were measured last, by kind of picture."""
    return {kind: Costs(**figures) for kind, figures in json.loads(FILE.read_text()).items()}


def save(measured: dict[str, Costs]) -> None:
    """Keep figures for the simulation."""
    figures = {kind: asdict(costs) for kind, costs in measured.items()}
    FILE.write_text(json.dumps(figures, indent=1) + "\n")
