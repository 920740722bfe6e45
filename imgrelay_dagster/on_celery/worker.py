"""The worker's side: the app that Celery workers are started with.

    celery -A imgrelay_dagster.on_celery.worker worker --concurrency 4

A worker may come and go at any time. What one held when it was killed is done by another, at most `STARTS` times.
"""

import logging
import time
from collections.abc import Mapping
from typing import Any

import celery
import dagster as dg
from celery import bootsteps
from celery.exceptions import Reject
from dagster._grpc.types import ExecuteStepArgs
from dagster._serdes import unpack_value
from dagster_celery.tasks import create_task

import imgrelay_dagster.preload  # noqa: F401 - loaded once, before the processes that steps run in are forked
from imgrelay_dagster.on_celery.settings import broker_url, is_redis, lost_after, make_celery_app

STARTS = 3
"""How often a step is begun before it is taken for one that kills its worker."""

logger = logging.getLogger(__name__)


class StepTask(celery.Task):  # type: ignore[misc]
    """A step on a worker.

    An interrupt is no `Exception`, which Celery takes for the end of the process. Here it is the end of the step: for
    good when its run is over, else the step goes back into the queue.
    """

    resultrepr_maxsize = 32  # of the step's events in the worker's log

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Execute the step; its events are the result."""
        step: ExecuteStepArgs = unpack_value(kwargs["execute_step_args_packed"], as_type=ExecuteStepArgs)
        if self.request.delivery_info.get("redelivered"):
            _refuse_killer(step)
        try:
            return super().__call__(*args, **kwargs)
        except (dg.DagsterExecutionInterruptedError, KeyboardInterrupt) as interrupt:
            if _run_is_over(step):
                return []
            raise Reject(str(interrupt), requeue=True) from None


def _refuse_killer(step: ExecuteStepArgs) -> None:
    assert step.instance_ref is not None
    with dg.DagsterInstance.from_ref(step.instance_ref) as instance:
        starts = {dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_RESTARTED}
        for key in step.step_keys_to_execute or ():
            begun = sum(entry.step_key == key for entry in instance.all_logs(step.run_id, of_type=starts))
            if begun >= STARTS:
                raise RuntimeError(
                    f"step {key} was begun {begun} times and its worker died each time; look for a lack of memory "
                    "there, or give tasks fewer entries (urls_per_task)"
                )


def _run_is_over(step: ExecuteStepArgs) -> bool:
    assert step.instance_ref is not None
    with dg.DagsterInstance.from_ref(step.instance_ref) as instance:
        run = instance.get_run_by_id(step.run_id)
        return run is None or run.is_finished or run.status is dg.DagsterRunStatus.CANCELING


class HoldOn(bootsteps.StartStopStep):  # type: ignore[misc]
    """Tells Redis again and again which steps this worker holds.

    A message that is not acknowledged within the visibility timeout is delivered to another worker, however busy the
    first one is with it. Renewed like this the timeout can be short, and a killed worker's steps are soon taken up.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **_: Any) -> None:
        consumer.hold_on = None

    def start(self, consumer: Any) -> None:
        """Begin, once the worker takes steps."""
        consumer.hold_on = consumer.timer.call_repeatedly(lost_after() / 6, _renew, (consumer,))

    def stop(self, consumer: Any) -> None:
        """End: what is still held goes to others."""
        if consumer.hold_on is not None:
            consumer.hold_on.cancel()
            consumer.hold_on = None


def _renew(consumer: Any) -> None:
    channel = consumer.task_consumer.channel
    held: Mapping[str, Any] = dict(channel.qos._delivered)
    if not held:
        return
    try:
        with channel.conn_or_acquire() as client:
            client.zadd(channel.unacked_index_key, dict.fromkeys(held, time.time()), xx=True)
    except channel.connection_errors as error:
        logger.warning("cannot tell the broker which steps are held: %s", error)


app = make_celery_app()
execute_plan = create_task(app, base=StepTask)  # type: ignore[no-untyped-call]
if is_redis(broker_url()):
    app.steps["consumer"].add(HoldOn)
