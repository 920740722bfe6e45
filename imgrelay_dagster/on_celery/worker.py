"""The Celery app that workers are started with.

    celery -A imgrelay_dagster.on_celery.worker worker --concurrency 4

Workers may start and stop at any time. The steps of a killed worker are executed by another one. A step is started at
most `MAX_STARTS` times.
"""

import functools
import logging
import os
import signal
import threading
import time
from typing import Any

import celery
import dagster as dg
import redis
from celery import platforms, signals
from celery.apps.worker import install_worker_term_hard_handler, on_cold_shutdown
from celery.exceptions import Reject
from celery.worker import state
from dagster._grpc.types import ExecuteStepArgs
from dagster._serdes import unpack_value
from dagster_celery.tasks import create_task
from kombu.transport.redis import Channel

import imgrelay_dagster.forkserver.preload  # noqa: F401 - imported once, before the processes for steps are forked
from imgrelay_dagster.config import environment
from imgrelay_dagster.execution.celery.settings import MAX_STARTS, broker_url, is_redis, lost_after, make_celery_app

logger = logging.getLogger(__name__)


class StepKillsItsWorker(Exception):
    """A step was started `MAX_STARTS` times, and its worker died each time."""


class StepTask(celery.Task):  # type: ignore[misc]
    """Executes a step on a worker.

    An interrupt is not a subclass of `Exception`, so Celery would end the process. Here it ends only the step: if the
    run is over, the step is finished, otherwise it returns to the queue.
    """

    resultrepr_maxsize = 32  # of the step's events in the worker's log

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Execute the step and return its events."""
        step: ExecuteStepArgs = unpack_value(kwargs["execute_step_args_packed"], as_type=ExecuteStepArgs)
        if self.request.delivery_info.get("redelivered"):
            _refuse_worker_killer(step)
        try:
            return super().__call__(*args, **kwargs)
        except (dg.DagsterExecutionInterruptedError, KeyboardInterrupt) as interrupt:
            if _run_is_over(step):
                return []
            raise Reject(str(interrupt), requeue=True) from None


def _refuse_worker_killer(step: ExecuteStepArgs) -> None:
    assert step.instance_ref is not None
    with dg.DagsterInstance.from_ref(step.instance_ref) as instance:
        starts = {dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_RESTARTED}
        for key in step.step_keys_to_execute or ():
            count = sum(entry.step_key == key for entry in instance.all_logs(step.run_id, of_type=starts))
            if count >= MAX_STARTS:
                raise StepKillsItsWorker(
                    f"step {key} was started {count} times and its worker died each time; check the worker's memory "
                    "limit, or give tasks fewer entries (urls_per_task)"
                )


def _run_is_over(step: ExecuteStepArgs) -> bool:
    assert step.instance_ref is not None
    with dg.DagsterInstance.from_ref(step.instance_ref) as instance:
        run = instance.get_run_by_id(step.run_id)
        return run is None or run.is_finished or run.status is dg.DagsterRunStatus.CANCELING


def renew_messages() -> None:
    """Renew the messages of this worker's steps in Redis, again and again until the process ends.

    Redis delivers a message that is not acknowledged within the visibility timeout to another worker, even while the
    first one still executes it. Because the messages are renewed, the timeout can be short, and the steps of a killed
    worker are soon executed by another one. The thread also runs while a stopping worker finishes its steps.
    """
    client = redis.Redis.from_url(broker_url(), socket_timeout=10)
    while True:
        time.sleep(lost_after() / 6)
        try:
            renewed = {request.message.delivery_tag: time.time() for request in list(state.reserved_requests)}
            if renewed:
                client.zadd(Channel.unacked_index_key, renewed, xx=True)
        except Exception as error:  # noqa: BLE001 - this thread must go on, or Redis delivers the steps to others
            logger.warning("cannot renew the messages of this worker's steps in Redis: %s", error)


@functools.cache
def _start_renewing() -> None:
    threading.Thread(target=renew_messages, name="renew-messages", daemon=True).start()


@functools.cache
def _handle_sigterm(consumer: Any) -> None:
    """Let SIGTERM end this worker; called when it is ready, also after it has connected to the broker again.

    With `IMGRELAY_CELERY_GRACE`, the worker first finishes its steps and takes no others; a second SIGTERM then ends it
    at once. Celery's soft shutdown would sleep for the whole grace, and give away steps that end meanwhile.
    Its switch for a cold shutdown, `REMAP_SIGTERM=SIGQUIT`, sends the steps a signal that their processes ignore.
    """
    grace = environment.CELERY_GRACE.get()
    leave_at_once = functools.partial(
        install_worker_term_hard_handler, consumer.controller, sig="SIGTERM", callback=_give_up_steps, exitcode=0
    )

    def finish_steps(*_: Any) -> None:
        leave_at_once()
        threading.Thread(target=_leave_when_idle, args=(consumer, grace), name="leave-when-idle", daemon=True).start()

    if grace:
        platforms.signals["SIGTERM"] = finish_steps
    else:
        leave_at_once()


def _leave_when_idle(consumer: Any, grace: float) -> None:
    """Take no more steps, and send this process SIGTERM when none is left, after `grace` seconds at the latest."""
    logger.warning("told to stop: finishing %d steps within %g s", len(state.reserved_requests), grace)
    end = time.monotonic() + grace
    for queue in list(consumer.app.amqp.queues.consume_from):
        consumer.hub.call_soon(consumer.cancel_task_queue, queue)
    while len(state.reserved_requests) and time.monotonic() < end:
        time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)


def _give_up_steps(worker: Any) -> None:
    """Kill the processes of all steps, then shut down.

    Celery would send them SIGTERM, which raises SystemExit in the op: Dagster counts that as a failed attempt, and the
    run fails after three. A killed step leaves no trace but its receipts, and its message returns to the queue.
    """
    for request in tuple(state.active_requests):
        request.cancel(worker.consumer.pool, signal="KILL")
    on_cold_shutdown(worker)


app = make_celery_app()
execute_plan = create_task(app, base=StepTask)  # type: ignore[no-untyped-call]
signals.worker_ready.connect(lambda sender, **_: _handle_sigterm(sender), weak=False)
if is_redis(broker_url()):
    signals.worker_ready.connect(lambda **_: _start_renewing(), weak=False)
