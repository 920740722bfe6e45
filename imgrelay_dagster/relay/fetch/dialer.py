"""Opens connections: resolves the host, checks the addresses, and connects to an address that was checked."""

import socket
import time
from collections.abc import Iterable

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.fetch.address_guard import AddressGuard
from imgrelay_dagster.relay.fetch.resolver import Resolver
from imgrelay_dagster.relay.fetch.watchdog import SocketHandle, Watchdog
from imgrelay_dagster.relay.outcomes import Reason

SocketOption = tuple[int, int, int | bytes]


class Dialer:
    """Connects to hosts, within the exchange of the calling thread.

    One name resolution serves both the check and the connection. A second resolution could return another address,
    and a name server under an attacker's control would do so (DNS rebinding).
    """

    def __init__(self, guard: AddressGuard, resolver: Resolver, watchdog: Watchdog) -> None:
        self.watchdog = watchdog
        self._guard = guard
        self._resolver = resolver

    def dial(
        self, host: str, port: int, timeout: float, options: Iterable[SocketOption], *, guarded: bool
    ) -> tuple[socket.socket, SocketHandle]:
        """Connect to the first address of the host that accepts the connection.

        Args:
            host: name or address.
            port: TCP port.
            timeout: seconds for the name resolution, and again for all addresses together; also set as the timeout
                of the returned socket.
            options: for `setsockopt`.
            guarded: False for the configured proxy, which may be inside an intranet.

        Returns:
            The connected socket, and its handle, which the owner of the socket must release.

        Raises:
            EntryFailure: `bad_url`, `dns_error`, `blocked_address`, `timeout` or `connect_error`.
        """
        check, name = self.watchdog.current.check, host if guarded else f"the proxy {host}"
        try:
            found = self._resolver(host, port, timeout, check)
        except EntryFailure as failure:
            if not guarded:
                failure.add(" (this is the proxy, not the host of the URL)")
            failure.unreachable = failure.reason is Reason.DNS_ERROR
            raise
        family_of = {address: family for family, address in found}
        addresses = list(family_of)
        if guarded:
            addresses = self._guard.filter_permitted(host, addresses)
        deadline = time.monotonic() + timeout
        last_error: OSError = TimeoutError()
        for number, address in enumerate(addresses):
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                break
            share = remaining / (len(addresses) - number)  # a dead address leaves time for the next one
            try:
                sock, handle = self._open(family_of[address], (address, port), share, options)
            except OSError as error:
                last_error = error
                check()
            else:
                sock.settimeout(timeout)
                return sock, handle
        if isinstance(last_error, TimeoutError):
            detail = f"no connection to {name}:{port} within {timeout:g} s"
            raise EntryFailure(Reason.TIMEOUT, detail, transient=True, unreachable=True) from last_error
        detail = f"{name}:{port}: {last_error.strerror or type(last_error).__name__}"
        raise EntryFailure(Reason.CONNECT_ERROR, detail, transient=True, unreachable=True) from last_error

    def _open(
        self,
        family: socket.AddressFamily,
        address: tuple[str, int],
        timeout: float,
        options: Iterable[SocketOption],
    ) -> tuple[socket.socket, SocketHandle]:
        exchange = self.watchdog.current
        sock = socket.socket(family, socket.SOCK_STREAM)
        handle: SocketHandle | None = None
        try:
            for option in options:
                sock.setsockopt(*option)
            sock.settimeout(timeout)
            handle = SocketHandle(sock)
            exchange.attach(handle)
            sock.connect(address)
        except BaseException:
            if handle is not None:
                exchange.detach(handle)
                handle.release()
            sock.close()
            raise
        return sock, handle
