"""The worker's side: the app that Celery workers are started with.

    celery -A imgrelay_dagster.on_celery.worker worker --concurrency 4

A worker may come and go at any time. What one held when it was killed is done by another, at most `STARTS` times.
"""

import functools
import logging
import threading
import time
from typing import Any

import celery
import dagster as dg
import redis
from celery import signals
from celery.exceptions import Reject
from celery.worker import state
from dagster._grpc.types import ExecuteStepArgs
from dagster._serdes import unpack_value
from dagster_celery.tasks import create_task
from kombu.transport.redis import Channel

import imgrelay_dagster.forkserver.preload  # noqa: F401 - loaded once, before the processes that steps run in are forked
from imgrelay_dagster.execution.celery.settings import STARTS, broker_url, is_redis, lost_after, make_celery_app

logger = logging.getLogger(__name__)


class StepKillsItsWorker(Exception):
    """A step was begun again and again, and its worker died each time."""


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
                raise StepKillsItsWorker(
                    f"step {key} was begun {begun} times and its worker died each time; look for a lack of memory "
                    "there, or give tasks fewer entries (urls_per_task)"
                )


def _run_is_over(step: ExecuteStepArgs) -> bool:
    assert step.instance_ref is not None
    with dg.DagsterInstance.from_ref(step.instance_ref) as instance:
        run = instance.get_run_by_id(step.run_id)
        return run is None or run.is_finished or run.status is dg.DagsterRunStatus.CANCELING


def hold_on() -> None:
    """Tell Redis again and again which steps this worker holds, until its process ends.

    A message that is not acknowledged within the visibility timeout is delivered to another worker, however busy the
    first one is with it. Renewed like this the timeout can be short, and a killed worker's steps are soon taken up. The
    thread goes on while the worker, told to stop, finishes what it holds.
    """
    client = redis.Redis.from_url(broker_url(), socket_timeout=10)
    while True:
        time.sleep(lost_after() / 6)
        try:
            held = {request.message.delivery_tag: time.time() for request in list(state.reserved_requests)}
            if held:
                client.zadd(Channel.unacked_index_key, held, xx=True)
        except Exception as error:  # noqa: BLE001 - without this thread a busy worker's steps are given away
            logger.warning("cannot tell the broker which steps are held: %s", error)


@functools.cache
def _start_holding_on() -> None:
    threading.Thread(target=hold_on, name="hold-on", daemon=True).start()


app = make_celery_app()
execute_plan = create_task(app, base=StepTask)  # type: ignore[no-untyped-call]
if is_redis(broker_url()):
    signals.worker_ready.connect(lambda **_: _start_holding_on(), weak=False)
