"""An interrupted step waits for a retry only if its run goes on."""

import dagster as dg
import pytest

from imgrelay_dagster.ops import failures
from imgrelay_dagster.ops.failures import no_retry_when_canceled


@pytest.mark.parametrize("canceled", [True, False])
def test_a_step_of_a_canceled_run_is_not_up_for_retry(canceled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "CANCEL_SEEN_LIMIT", 0.0)

    @dg.op(retry_policy=dg.RetryPolicy(max_retries=2))
    def interrupted(context: dg.OpExecutionContext) -> None:
        run = context.instance.get_run_by_id(context.run_id)
        assert run is not None
        if canceled:
            context.instance.report_run_canceling(run)
        with no_retry_when_canceled(context):
            raise dg.DagsterExecutionInterruptedError

    @dg.job
    def one() -> None:
        interrupted()

    with dg.DagsterInstance.ephemeral() as instance:
        result = one.execute_in_process(instance=instance, raise_on_error=False)
        kinds = {event.event_type for event in result.all_events}
    assert (dg.DagsterEventType.STEP_UP_FOR_RETRY in kinds) is not canceled
    assert not result.success
