"""What a stage works with."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from imgrelay_dagster.relay.progress.notes import StepProgress
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.stages.restart import Restart
from imgrelay_dagster.relay.stages.steering import Steering
from imgrelay_dagster.relay.staging.scratch_space import Staging


@dataclass(frozen=True)
class StageContext:
    """What a stage works with.

    Attributes:
        settings: the run's settings.
        staging: the run's scratch space.
        receipts: takes the records of entries that end in this stage.
        progress: counts the entries for the run's progress.
        stop: set when the stage must end early.
        settled: entries that have receipts already, from an earlier attempt at this step that was killed.
        restart: set if an earlier attempt at this step was killed.
        tick: called several times a second while the stage works; an exception that it raises ends the stage.
        steering: the adjustments of the run.
        run_id: the run, which stored images name where provenance is wanted.
    """

    settings: Settings
    staging: Staging
    receipts: ReceiptWriter
    progress: StepProgress
    stop: threading.Event
    settled: frozenset[int] = frozenset()
    restart: Restart | None = None
    tick: Callable[[], None] = lambda: None
    steering: Steering = field(default_factory=Steering)
    run_id: str = ""
