"""What the run's process and the workers agree on: the broker, and how a step is handed over, held and given back."""

import os
from typing import Any

from dagster_celery.config import DEFAULT_CONFIG, dict_wrapper
from dagster_celery.make_app import make_app

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.redact import redact

_REDIS, _RABBITMQ = ("redis://", "rediss://"), ("amqp://", "amqps://", "pyamqp://")

PRIORITIES = range(10)

LOST_AFTER = 60.0
"""Seconds without a sign of life after which a worker's steps are given to others. Redis only: RabbitMQ notices that
a worker's connection is gone."""

STARTS = 5
"""How often a step is begun, killed workers and retries together, before it is taken for one that kills its worker."""

FINAL_ERROR = "StepKillsItsWorker"
"""The name of the worker's error that no retry mends: Celery hands errors on by name."""

RESULTS_KEPT = 3600
"""Seconds that the result of a step is kept: the run's process fetches it within one, a second delivery looks it up."""


def broker_url() -> str:
    """The broker, as Celery takes it.

    Raises:
        RelayError: it is not set, or neither a Redis nor a RabbitMQ.
    """
    url = os.environ.get("IMGRELAY_CELERY_BROKER")
    if not url:
        raise RelayError(
            "IMGRELAY_EXECUTOR is celery and IMGRELAY_CELERY_BROKER is not set; "
            "give the broker's address, such as redis://host:6379/0 or amqp://user:password@host:5672//"
        )
    if not url.startswith((*_REDIS, *_RABBITMQ)):
        raise RelayError(
            f"IMGRELAY_CELERY_BROKER {redact(url)!r} is neither a Redis ({', '.join(_REDIS)}) nor a RabbitMQ "
            f"({', '.join(_RABBITMQ)})"
        )
    return url


def is_redis(url: str) -> bool:
    """Whether the broker is a Redis, whose priorities run the other way round and whose workers have to hold on."""
    return url.startswith(_REDIS)


def backend_url() -> str:
    """Where results of steps are left: as set, else the broker itself if it is a Redis, else RabbitMQ's replies."""
    return os.environ.get("IMGRELAY_CELERY_BACKEND") or (broker_url() if is_redis(broker_url()) else "rpc://")


def lost_after() -> float:
    """`LOST_AFTER`, or what the environment says.

    Raises:
        RelayError: it is no number of seconds.
    """
    given = os.environ.get("IMGRELAY_CELERY_LOST_AFTER")
    try:
        seconds = float(given) if given else LOST_AFTER
    except ValueError:
        seconds = 0.0
    if not 2 <= seconds <= 86_400:
        raise RelayError(f"IMGRELAY_CELERY_LOST_AFTER {given!r} is no number of seconds from 2 to 86400")
    return seconds


def celery_settings() -> dict[str, Any]:
    """Celery's settings, the same for the run's process and the workers."""
    settings: dict[str, Any] = {
        **DEFAULT_CONFIG,
        # A worker takes a step when it has a free slot, and gives it back by dying: nothing is acknowledged before its
        # result is stored. What was stored already is not done again when it is delivered a second time.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_deduplicate_successful_tasks": True,
        "worker_prefetch_multiplier": 1,
        # A worker that is cut off from the broker stops: its steps are about to be given to others.
        "worker_cancel_long_running_tasks_on_connection_loss": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "worker_max_tasks_per_child": 200,
        "worker_send_task_events": False,
        "result_expires": RESULTS_KEPT,
        "task_publish_retry_policy": {
            "max_retries": 30,
            "interval_start": 0.2,
            "interval_step": 0.5,
            "interval_max": 5,
        },
    }
    if is_redis(broker_url()):
        settings["broker_transport_options"] = {
            "visibility_timeout": lost_after(),
            "unacked_restore_interval": max(1, int(lost_after() / 6)),
            "unacked_restore_throttle": 1,
            "priority_steps": list(PRIORITIES),
            "queue_order_strategy": "priority",
            "socket_keepalive": True,
        }
    else:
        settings["broker_transport_options"] = {"confirm_publish": True}
    return settings


def make_celery_app() -> Any:
    """dagster-celery's app with these settings."""
    wrapped: Any = dict_wrapper(celery_settings())  # type: ignore[no-untyped-call]
    arguments = {"broker": broker_url(), "backend": backend_url(), "config_source": wrapped}
    return make_app(arguments)  # type: ignore[no-untyped-call]


def broker_priority(priority: int) -> int:
    """A step's priority (more is sooner) in the broker's own scale: with Redis, less is sooner."""
    priority = min(max(priority, PRIORITIES[0]), PRIORITIES[-1])
    return PRIORITIES[-1] - priority if is_redis(broker_url()) else priority
