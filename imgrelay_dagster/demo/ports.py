"""Finds free loopback ports outside the range of outgoing connections."""

import contextlib
import socket
from pathlib import Path
from random import SystemRandom

HOST = "127.0.0.1"
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int) -> list[int]:
    """Return `count` different free ports below the range of outgoing connections.

    Another server may bind one of them before it is used. The caller must then try again with other ports.

    Raises:
        OSError: there are not enough free ports.
    """
    top = int(_EPHEMERAL.read_text().split()[0]) if _EPHEMERAL.exists() else 32768
    candidates = list(range(10_000, top)) if top > 11_000 else list(range(50_000, 65_000))
    SystemRandom().shuffle(candidates)
    with contextlib.ExitStack() as bound:
        found: list[int] = []
        for port in candidates:
            server = bound.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                server.bind((HOST, port))
                found.append(port)
            if len(found) == count:
                return found
    raise OSError(f"fewer than {count} free ports on {HOST}")
