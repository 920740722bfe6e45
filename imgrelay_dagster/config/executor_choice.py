"""Which executor runs the steps, by `IMGRELAY_EXECUTOR`: processes of this host, Celery workers or Kubernetes pods."""

import importlib.util

from imgrelay_dagster.config import environment
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.redact import redact
from imgrelay_dagster.relay.storage.addresses import is_remote

MULTIPROCESS, CELERY, KUBERNETES = "multiprocess", "celery", "k8s"

PRELOAD = ["imgrelay_dagster.forkserver.preload"]
"""What the process that steps of this host are forked from imports."""

_EXTRAS = {CELERY: ("celery", "dagster_celery"), KUBERNETES: ("kubernetes", "dagster_k8s")}
"""For each executor that uses other hosts: the extra that installs it, and a module of it."""


def executor_name() -> str:
    """The name of the chosen executor.

    Raises:
        RelayError: the name is unknown, or the executor is not installed.
    """
    name = environment.EXECUTOR.get()
    if name == MULTIPROCESS:
        return name
    extra, module = _EXTRAS[name]
    if importlib.util.find_spec(module) is None:
        raise RelayError(
            f"IMGRELAY_EXECUTOR is {name}, which is not installed: pip install 'imgrelay-dagster[{extra}]'"
        )
    return name


def steps_leave_this_host() -> bool:
    """Whether steps may run on other hosts than the run's process."""
    return executor_name() != MULTIPROCESS


def check_reachable(what: str, address: str, variable: str) -> None:
    """Refuse a local folder if steps run on other hosts, because each host would have a folder of its own.

    Args:
        what: what the address is for, as the message calls it.
        variable: the environment variable that sets it.

    Raises:
        RelayError: the address is local, and steps run on other hosts.
    """
    if is_remote(address) or not steps_leave_this_host():
        return
    raise RelayError(
        f"{what} {redact(address)!r} is a folder of one host, and with IMGRELAY_EXECUTOR={executor_name()} steps run "
        f"on several; use an address such as s3://bucket/prefix (set {variable})"
    )
