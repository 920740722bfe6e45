"""The Celery settings, the same for the run's process and the workers: broker, result backend, delivery of steps."""

from typing import Any

from dagster_celery.config import DEFAULT_CONFIG, dict_wrapper
from dagster_celery.make_app import make_app

from imgrelay_dagster.config import environment
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.redact import redact

_REDIS, _RABBITMQ = ("redis://", "rediss://"), ("amqp://", "amqps://", "pyamqp://")

PRIORITIES = range(10)

MAX_STARTS = 5
"""How often a step is started, retries included, before the workers refuse it as one that kills its worker."""

FINAL_ERROR = "StepKillsItsWorker"
"""Class name of the worker's error that is not retried. Celery transfers errors by their name."""

RESULT_EXPIRES = 3600
"""Seconds for which the result of a step is kept. The run's process fetches it within one second; after a second
delivery of the step, the worker looks it up."""


def broker_url() -> str:
    """Return the URL of the broker.

    Raises:
        RelayError: it is not set, or it is neither a Redis nor a RabbitMQ URL.
    """
    url = environment.CELERY_BROKER.get()
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
    """Whether the broker is Redis. Its priorities are inverted, and its workers must renew their messages."""
    return url.startswith(_REDIS)


def backend_url() -> str:
    """Return the URL of the result backend: the configured one, or the broker if it is Redis, or RabbitMQ's RPC."""
    return environment.CELERY_BACKEND.get() or (broker_url() if is_redis(broker_url()) else "rpc://")


def lost_after() -> float:
    """Return the value of `IMGRELAY_CELERY_LOST_AFTER` in seconds.

    If a worker sends no heartbeat for this time, its steps are delivered to other workers. Only for Redis: RabbitMQ
    notices that a worker's connection is closed.

    Raises:
        RelayError: the value is not a number from 2 to 86400.
    """
    return environment.CELERY_LOST_AFTER.get()


def celery_settings() -> dict[str, Any]:
    """Return Celery's settings for the run's process and the workers."""
    settings: dict[str, Any] = {
        **DEFAULT_CONFIG,
        # A worker acknowledges a step only after its result is stored, so the step of a killed worker is delivered
        # again. A step that is delivered again although its result is stored is not executed again.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_deduplicate_successful_tasks": True,
        "worker_prefetch_multiplier": 1,
        # A worker that loses its connection to the broker stops its steps: they will be delivered to other workers.
        "worker_cancel_long_running_tasks_on_connection_loss": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "worker_max_tasks_per_child": 200,
        "worker_send_task_events": False,
        "result_expires": RESULT_EXPIRES,
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
    """Return dagster-celery's Celery app with these settings."""
    wrapped: Any = dict_wrapper(celery_settings())  # type: ignore[no-untyped-call]
    arguments = {"broker": broker_url(), "backend": backend_url(), "config_source": wrapped}
    return make_app(arguments)  # type: ignore[no-untyped-call]


def broker_priority(priority: int) -> int:
    """Convert a step's priority (higher runs first) to the broker's scale: with Redis, lower runs first."""
    priority = min(max(priority, PRIORITIES[0]), PRIORITIES[-1])
    return PRIORITIES[-1] - priority if is_redis(broker_url()) else priority
