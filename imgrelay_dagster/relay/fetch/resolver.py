"""Name resolution with a time limit, which `getaddrinfo` lacks."""

import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Callable

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.outcomes import Reason

ResolveFunction = Callable[[str, int], list[tuple[socket.AddressFamily, str]]]
"""Maps host and port to (family, address as text) pairs, best first. Raises `socket.gaierror`."""

_TICK = 0.1  # seconds between two calls of `check` while waiting
_MAX_HELPER_THREADS = 1_024  # idle threads cost little; in the 20 s of a resolver a manifest may name more dead hosts


def system_resolve(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    """Resolve with the system's resolver. It also accepts spellings of an address such as `2130706433` or `0x7f.1`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, str(sockaddr[0])) for family, _, _, _, sockaddr in found]


class Resolver:
    """Resolves names in helper threads, so that a name server that does not answer costs only the time limit.

    A helper thread whose answer came too late ends when the system's resolver gives up. At most 1,024 helper threads
    exist at a time. They are daemon threads, so they do not delay the exit of the process.
    """

    def __init__(self, resolve: ResolveFunction = system_resolve) -> None:
        self._resolve = resolve
        self._free_threads = threading.BoundedSemaphore(_MAX_HELPER_THREADS)

    def __call__(
        self, host: str, port: int, timeout: float, check: Callable[[], None]
    ) -> list[tuple[socket.AddressFamily, str]]:
        """Return the addresses of a host.

        Args:
            host: name, or address in any spelling.
            port: passed to the resolver.
            timeout: seconds.
            check: called about ten times a second while waiting; if it raises, the wait ends.

        Raises:
            EntryFailure: `dns_error`; transient unless the name is known not to exist.
        """
        try:
            literal = ipaddress.ip_address(host)
        except ValueError:
            return self._resolve_name(host, port, timeout, check)
        return [(socket.AF_INET if literal.version == 4 else socket.AF_INET6, host)]

    def _resolve_name(
        self, host: str, port: int, timeout: float, check: Callable[[], None]
    ) -> list[tuple[socket.AddressFamily, str]]:
        deadline = time.monotonic() + timeout
        answer: queue.SimpleQueue[list[tuple[socket.AddressFamily, str]] | Exception] = queue.SimpleQueue()
        while not self._free_threads.acquire(timeout=_TICK):
            check()
            if time.monotonic() >= deadline:
                detail = f"{host} was not resolved: {_MAX_HELPER_THREADS:,} other names wait for their name servers"
                raise EntryFailure(Reason.DNS_ERROR, detail, transient=True)
        helper = threading.Thread(target=self._run, args=(host, port, answer), name="lookup", daemon=True)
        try:
            helper.start()
        except RuntimeError:  # the system allows no more threads
            self._free_threads.release()
            raise
        while True:
            try:
                found = answer.get(timeout=max(0.0, min(_TICK, deadline - time.monotonic())))
                break
            except queue.Empty:
                check()
                if time.monotonic() >= deadline:
                    detail = f"no answer from the name server for {host} within {timeout:g} s"
                    raise EntryFailure(Reason.DNS_ERROR, detail, transient=True) from None
        if isinstance(found, Exception):
            raise _to_failure(host, found) from found
        if not found:
            raise EntryFailure(Reason.DNS_ERROR, f"{host} has no address")
        return found

    def _run(
        self,
        host: str,
        port: int,
        answer: "queue.SimpleQueue[list[tuple[socket.AddressFamily, str]] | Exception]",
    ) -> None:
        try:
            answer.put(self._resolve(host, port))
        except Exception as error:  # noqa: BLE001 - `_resolve_name` raises it in the waiting thread
            answer.put(error)
        finally:
            self._free_threads.release()


def _to_failure(host: str, error: Exception) -> Exception:
    if isinstance(error, socket.gaierror):
        # RFC 3493 6.1: EAI_AGAIN, EAI_SYSTEM and EAI_MEMORY are temporary; the other codes concern the name.
        temporary = error.errno in {socket.EAI_AGAIN, socket.EAI_SYSTEM, socket.EAI_MEMORY}
        detail = f"{host} cannot be resolved: {error.strerror or 'unknown name'}"
        return EntryFailure(Reason.DNS_ERROR, detail, transient=temporary)
    if isinstance(error, UnicodeError):
        return EntryFailure(Reason.BAD_URL, f"{host} is not a host name")
    if isinstance(error, OSError):
        detail = f"{host} cannot be resolved: {error.strerror or type(error).__name__}"
        return EntryFailure(Reason.DNS_ERROR, detail, transient=True)
    return error
