"""Name look-up with a time limit, which `getaddrinfo` does not have."""

import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Callable

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.outcomes import Reason

Resolve = Callable[[str, int], list[tuple[socket.AddressFamily, str]]]
"""From host and port to (family, address as text) pairs, best first. Raises `socket.gaierror`."""

_TICK = 0.1  # seconds between looks at whether to go on waiting
_MOST_HANGING = 1_024  # an idle thread costs little, and a list may name more dead hosts than this in a resolver's 20 s


def system_resolve(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    """Ask the system's resolver. Spellings such as `2130706433` or `0x7f.1` become the address they mean."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, str(sockaddr[0])) for family, _, _, _, sockaddr in found]


class Lookup:
    """Looks names up in helper threads, so that a silent name server costs no more than the time limit.

    A helper whose answer came too late ends by itself once the system gives up; no more than 1,024 are
    alive at any time, and they are daemons, so they hold up no exit.
    """

    def __init__(self, resolve: Resolve = system_resolve) -> None:
        self._resolve = resolve
        self._vacant = threading.BoundedSemaphore(_MOST_HANGING)

    def __call__(
        self, host: str, port: int, timeout: float, check: Callable[[], None]
    ) -> list[tuple[socket.AddressFamily, str]]:
        """Find the addresses of a host.

        Args:
            host: name, or address in any spelling.
            port: handed on to the resolver.
            timeout: seconds.
            check: called about ten times a second; what it raises ends the wait.

        Raises:
            EntryFailure: `dns_error`; transient unless the name is known not to exist.
        """
        try:
            literal = ipaddress.ip_address(host)
        except ValueError:
            return self._ask(host, port, timeout, check)
        return [(socket.AF_INET if literal.version == 4 else socket.AF_INET6, host)]

    def _ask(
        self, host: str, port: int, timeout: float, check: Callable[[], None]
    ) -> list[tuple[socket.AddressFamily, str]]:
        ends = time.monotonic() + timeout
        answer: queue.SimpleQueue[list[tuple[socket.AddressFamily, str]] | Exception] = queue.SimpleQueue()
        while not self._vacant.acquire(timeout=_TICK):
            check()
            if time.monotonic() >= ends:
                detail = f"{host} was not looked up: {_MOST_HANGING:,} others wait for an answer from the name server"
                raise EntryFailure(Reason.DNS_ERROR, detail, transient=True)
        helper = threading.Thread(target=self._help, args=(host, port, answer), name="lookup", daemon=True)
        try:
            helper.start()
        except RuntimeError:  # no more threads
            self._vacant.release()
            raise
        while True:
            try:
                found = answer.get(timeout=max(0.0, min(_TICK, ends - time.monotonic())))
                break
            except queue.Empty:
                check()
                if time.monotonic() >= ends:
                    detail = f"no answer for {host} within {timeout:g} s"
                    raise EntryFailure(Reason.DNS_ERROR, detail, transient=True) from None
        if isinstance(found, Exception):
            raise _failure(host, found) from found
        if not found:
            raise EntryFailure(Reason.DNS_ERROR, f"{host} has no address")
        return found

    def _help(
        self,
        host: str,
        port: int,
        answer: "queue.SimpleQueue[list[tuple[socket.AddressFamily, str]] | Exception]",
    ) -> None:
        try:
            answer.put(self._resolve(host, port))
        except Exception as trouble:  # noqa: BLE001 - it is raised where the answer is awaited
            answer.put(trouble)
        finally:
            self._vacant.release()


def _failure(host: str, trouble: Exception) -> Exception:
    if isinstance(trouble, socket.gaierror):
        # RFC 3493 6.1: EAI_AGAIN is the name server's trouble, the others are about the name.
        again = trouble.errno in {socket.EAI_AGAIN, socket.EAI_SYSTEM, socket.EAI_MEMORY}
        detail = f"{host} cannot be looked up: {trouble.strerror or 'unknown name'}"
        return EntryFailure(Reason.DNS_ERROR, detail, transient=again)
    if isinstance(trouble, UnicodeError):
        return EntryFailure(Reason.BAD_URL, f"{host} is not a host name")
    if isinstance(trouble, OSError):
        detail = f"{host} cannot be looked up: {trouble.strerror or type(trouble).__name__}"
        return EntryFailure(Reason.DNS_ERROR, detail, transient=True)
    return trouble
