"""Taking up the adjustments of a run in its steps."""

import hashlib

import dagster as dg

from imgrelay_dagster.relay.stages.steering import Steering
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.runs.adjustments import adjustments_of


def take_adjustments(context: dg.OpExecutionContext, run: dg.DagsterRun, steering: Steering, staging: Staging) -> None:
    """Let the adjustments in the run's tags count in this step. The first step that takes them up logs it."""
    adjustments, error = adjustments_of(context.instance, run)
    if not steering.take(adjustments) and error is None:
        return
    text = error or adjustments.to_text() or "nothing any more"
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    if staging.claim(f"adjusted-{digest}"):
        context.log.info(f"adjusted: {text}") if error is None else context.log.warning(error)
