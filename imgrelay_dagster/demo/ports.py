"""Finds free loopback ports that no outgoing connection will take in the meantime."""

import contextlib
import socket
from pathlib import Path
from random import SystemRandom

HOST = "127.0.0.1"
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int) -> list[int]:
    """`count` different ports that could be bound just now, below the range of outgoing connections.

    Another server may still take one before it is used: whoever uses them tries again with others.
    """
    top = int(_EPHEMERAL.read_text().split()[0]) if _EPHEMERAL.exists() else 32768
    candidates = list(range(10_000, top)) if top > 11_000 else list(range(50_000, 65_000))
    SystemRandom().shuffle(candidates)
    with contextlib.ExitStack() as held:
        found: list[int] = []
        for port in candidates:
            server = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                server.bind((HOST, port))
                found.append(port)
            if len(found) == count:
                return found
    raise OSError(f"fewer than {count} free ports on {HOST}")
