"""Helpers for the download tests: a sink that keeps bodies, short limits, a resolver, a count of open sockets."""

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.fetch.address_guard import AddressGuard
from imgrelay_dagster.relay.fetch.downloader import Downloader, Limits

JPEG = b"\xff\xd8" + bytes(range(256)) * 80
IMAGES = {"/ok.jpg": (JPEG, "image/jpeg")}
SHORT = Limits(
    connect_timeout=1.0,
    read_timeout=0.5,
    deadline=1.0,
    attempts=2,
    backoff=0.01,
    retry_after_cap=0.2,
    max_bytes=1_000_000,
)


class Bodies:
    """A sink that keeps what was stored, and counts what was abandoned."""

    def __init__(self) -> None:
        self.whole: list[bytes] = []
        self.abandoned = 0

    def __call__(self) -> "Body":
        return Body(self)


class Body:
    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._data = bytearray()

    def __enter__(self) -> "Body":
        return self

    def write(self, data: bytes) -> None:
        self._data += data

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._bodies.whole.append(bytes(self._data))
        else:
            self._bodies.abandoned += 1


def downloader(*allowed: str, stop: threading.Event | None = None, **options: Any) -> Downloader:
    """A downloader with short limits; keyword arguments are limits or its own options."""
    own = {name: options.pop(name) for name in ("resolve", "pause", "rng", "tls", "rules", "board") if name in options}
    return Downloader(
        replace(SHORT, **options),
        AddressGuard(allowed or ["127.0.0.1"]),
        stop=stop or threading.Event(),
        **own,
    )


def failure_of(download: Downloader, url: str, sink: Bodies | None = None) -> EntryFailure:
    with pytest.raises(EntryFailure) as caught:
        download.fetch(url, sink or Bodies())
    return caught.value


def resolver(**names: str) -> Callable[[str, int], list[tuple[socket.AddressFamily, str]]]:
    """Resolve `<name>.test` by keyword, addresses being parted by blanks; nothing else exists."""

    def resolve(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
        addresses = names.get(host.removesuffix(".test"))
        if addresses is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET6 if ":" in ip else socket.AF_INET, ip) for ip in addresses.split()]

    return resolve


def open_sockets() -> int:
    """How many sockets this process has open."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            count += os.readlink(entry).startswith("socket:")  # noqa: PTH115 - the target is not a path
    return count
