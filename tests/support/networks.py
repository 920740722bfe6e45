"""Hosts with networks of their own: network namespaces, from which single services can be cut off and healed.

Each host is a namespace with one cable (a veth pair) for each service; the other ends are in a second namespace of the
host, in which a process forwards connections to the real servers through Unix sockets. Cutting a cable drops every
packet without an error, in both directions or in one, as a broken switch or a firewall does.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Self

from imgrelay_dagster.demo import child
from tests.conftest import ROOT
from tests.support.command import until

_NETWORK = "10.213"

# A queue that is too short for any packet (tc-tbf(8)).
_DROP = ("tbf", "rate", "8bit", "burst", "1b", "limit", "1b")


@cache
def missing() -> str | None:
    """Why hosts with networks of their own cannot be made here, for `pytest.mark.skipif`; None if they can."""
    if shutil.which("ip") is None or shutil.which("tc") is None:
        return "needs ip and tc (Debian: apt-get install iproute2)"
    name = f"imgrelay-{os.getpid()}-probe"
    if _run("ip", "netns", "add", name, check=False) != 0:
        return "network namespaces can only be made by root"
    dropped = _run("ip", "netns", "exec", name, "tc", "qdisc", "add", "dev", "lo", "root", *_DROP, check=False)
    _run("ip", "netns", "delete", name)
    return "the kernel has no traffic control (sch_tbf)" if dropped else None


def _run(*command: str, check: bool = True) -> int:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.returncode


class Network:
    """The network of one host. Leaving the block removes it.

    Args:
        services: the real servers, `host:port` by name.

    Attributes:
        namespace: the name of the host's namespace, for `command`.
        addresses: by service, the `host:port` at which the host reaches it. The same for all hosts.
    """

    def __init__(self, name: str, services: Mapping[str, str]) -> None:
        self.namespace = f"imgrelay-{os.getpid()}-{name}"
        self._outside = f"{self.namespace}-outside"
        self._services = dict(services)
        self._numbers = {service: number for number, service in enumerate(services, 1)}
        self.addresses = {
            service: f"{_NETWORK}.{self._numbers[service]}.1:{address.rpartition(':')[2]}"
            for service, address in services.items()
        }
        self._exits = ExitStack()

    def command(self) -> list[str]:
        """What starts a program on this host."""
        nsenter = shutil.which("nsenter")
        assert nsenter
        return [nsenter, f"--net=/run/netns/{self.namespace}"]

    def cut(self, service: str, *, outgoing: bool = True, incoming: bool = True) -> None:
        """Drop all packets from the host to a service (`outgoing`), and from the service to the host."""
        for namespace, device, wanted in self._ends(service, outgoing=outgoing, incoming=incoming):
            if wanted:
                _run("ip", "netns", "exec", namespace, "tc", "qdisc", "replace", "dev", device, "root", *_DROP)

    def heal(self, service: str) -> None:
        """Let packets through again."""
        for namespace, device, _ in self._ends(service):
            _run("ip", "netns", "exec", namespace, "tc", "qdisc", "delete", "dev", device, "root", check=False)

    def _ends(self, service: str, *, outgoing: bool = True, incoming: bool = True) -> list[tuple[str, str, bool]]:
        number = self._numbers[service]
        return [(self.namespace, f"in{number}", outgoing), (self._outside, f"out{number}", incoming)]

    def __enter__(self) -> Self:
        try:
            self._make()
        except BaseException:
            self._exits.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def _make(self) -> None:
        for namespace in (self.namespace, self._outside):
            _run("ip", "netns", "add", namespace)
            self._exits.callback(_run, "ip", "netns", "delete", namespace, check=False)
            _run("ip", "-n", namespace, "link", "set", "lo", "up")
        for number in self._numbers.values():
            inside, outside = f"in{number}", f"out{number}"
            _run(
                *("ip", "-n", self.namespace, "link", "add", inside, "type", "veth"),
                *("peer", "name", outside, "netns", self._outside),
            )
            for namespace, device, last in ((self.namespace, inside, 2), (self._outside, outside, 1)):
                _run("ip", "-n", namespace, "addr", "add", f"{_NETWORK}.{number}.{last}/30", "dev", device)
                _run("ip", "-n", namespace, "link", "set", device, "up")
        sockets = Path(self._exits.enter_context(tempfile.TemporaryDirectory(prefix="imgrelay-")))
        paths = {service: sockets / service for service in self._services}
        here = [f"{paths[service]}={address}" for service, address in self._services.items()]
        there = [f"{address}={paths[service]}" for service, address in self.addresses.items()]
        forward = [sys.executable, "-m", "tests.support.forward"]
        self._start([*forward, *here])
        until(lambda: all(path.exists() for path in paths.values()), 20, "connections are forwarded")
        nsenter = shutil.which("nsenter")
        assert nsenter
        self._start([nsenter, f"--net=/run/netns/{self._outside}", *forward, *there])

    def _start(self, command: list[str]) -> None:
        process = child.start(
            command, environment={"PATH": os.environ["PATH"]}, death_signal=signal.SIGKILL, folder=ROOT
        )
        self._exits.callback(child.stop, process, seconds=5)
