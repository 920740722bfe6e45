"""`imgrelay metrics`: shows metrics to Prometheus, pushes them to a gateway, or prints them."""

import argparse
import sys
import threading

import dagster as dg
from prometheus_client import CollectorRegistry, generate_latest, pushadd_to_gateway, start_http_server

from imgrelay_dagster.commands.dagster_home import set_up_dagster_home
from imgrelay_dagster.commands.exit_codes import SUCCESS, WRONG_USAGE
from imgrelay_dagster.commands.tables import print_message
from imgrelay_dagster.monitoring.metrics import RelayCollector
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.redact import redact, redact_text
from imgrelay_dagster.resources import build_stores

PUSH_TIMEOUT = 30.0
"""Seconds for one push."""


def metrics(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    try:
        set_up_dagster_home()
        stores = build_stores()
        with dg.DagsterInstance.get() as instance:
            registry = CollectorRegistry()
            registry.register(RelayCollector(instance, stores))
            _show(arguments, registry)
    except RelayError as error:
        print_message(str(error))
        return WRONG_USAGE
    return SUCCESS


def _show(arguments: argparse.Namespace, registry: CollectorRegistry) -> None:
    """Print, push or serve the metrics; the last two until the process is ended."""
    if arguments.once:
        sys.stdout.write(generate_latest(registry).decode())
    elif arguments.push:
        _push(arguments.push, arguments.interval, registry)
    else:
        _serve(arguments.host, arguments.port, registry)


def _serve(host: str, port: int, registry: CollectorRegistry) -> None:
    """Serve the metrics.

    Raises:
        RelayError: the address cannot be listened on.
    """
    try:
        server, thread = start_http_server(port, host, registry)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RelayError(f"cannot listen on {host}:{port}: {reason}; give another --host or --port") from None
    print_message(f"metrics at http://{host}:{server.server_port}/metrics")
    thread.join()


def _push(address: str, interval: float, registry: CollectorRegistry) -> None:
    """Push the metrics again and again. A gateway that does not answer is reported and tried again."""
    while True:
        try:
            pushadd_to_gateway(address, "imgrelay", registry, timeout=PUSH_TIMEOUT)
        except (OSError, ValueError) as error:
            print_message(f"metrics could not be pushed to {redact(address)}: {redact_text(str(error))}")
        threading.Event().wait(interval)
