"""What a stage works with."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from imgrelay_dagster.relay.progress.notes import StepProgress
from imgrelay_dagster.relay.records.receipt_writer import ReceiptWriter
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.staging.scratch_space import Staging


@dataclass(frozen=True)
class StageContext:
    """What a stage works with: the run's settings and scratch space, its receipts and progress, when to stop.

    `settled` are the lines that an earlier, killed attempt at the same step has receipts for.
    `tick` is called several times a second while the stage works; what it raises ends the stage.
    """

    settings: Settings
    staging: Staging
    receipts: ReceiptWriter
    progress: StepProgress
    stop: threading.Event
    settled: frozenset[int] = frozenset()
    tick: Callable[[], None] = lambda: None
