"""Opens connections: look up, check, connect to exactly the address that was checked."""

import socket
import time
from collections.abc import Iterable

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.fetch.address_guard import AddressGuard
from imgrelay_dagster.relay.fetch.resolver import Lookup
from imgrelay_dagster.relay.fetch.watchdog import Handle, Watchdog
from imgrelay_dagster.relay.outcomes import Reason

SocketOption = tuple[int, int, int | bytes]


class Dialer:
    """Connects to hosts, within the exchange of the calling thread.

    One look-up serves both the check and the connection. A second one could give another answer, and a
    name server in the hands of an attacker would: that is DNS rebinding.
    """

    def __init__(self, guard: AddressGuard, lookup: Lookup, watchdog: Watchdog) -> None:
        self.watchdog = watchdog
        self._guard = guard
        self._lookup = lookup

    def dial(
        self, host: str, port: int, timeout: float, options: Iterable[SocketOption], *, guarded: bool
    ) -> tuple[socket.socket, Handle]:
        """Connect to the first address of the host that answers.

        Args:
            host: name or address.
            port: TCP port.
            timeout: seconds for the look-up, and again for all addresses together; the socket keeps it.
            options: for `setsockopt`.
            guarded: False for the configured proxy, which may well be on the intranet.

        Returns:
            The connected socket, and the handle that whoever owns the socket must release.

        Raises:
            EntryFailure: `bad_url`, `dns_error`, `blocked_address`, `timeout` or `connect_error`.
        """
        check = self.watchdog.current.check
        found = self._lookup(host, port, timeout, check)
        family_of = {address: family for family, address in found}
        addresses = list(family_of)
        if guarded:
            addresses = self._guard.permitted(host, addresses)
        ends = time.monotonic() + timeout
        trouble: OSError = TimeoutError()
        for number, address in enumerate(addresses):
            left = ends - time.monotonic()
            if left <= 0:
                break
            share = left / (len(addresses) - number)  # a dead address leaves time for the next one
            try:
                sock, handle = self._open(family_of[address], (address, port), share, options)
            except OSError as error:
                trouble = error
                check()
            else:
                sock.settimeout(timeout)
                return sock, handle
        if isinstance(trouble, TimeoutError):
            detail = f"{host}:{port} does not answer within {timeout:g} s"
            raise EntryFailure(Reason.TIMEOUT, detail, transient=True) from trouble
        detail = f"{host}:{port}: {trouble.strerror or type(trouble).__name__}"
        raise EntryFailure(Reason.CONNECT_ERROR, detail, transient=True) from trouble

    def _open(
        self,
        family: socket.AddressFamily,
        address: tuple[str, int],
        timeout: float,
        options: Iterable[SocketOption],
    ) -> tuple[socket.socket, Handle]:
        exchange = self.watchdog.current
        sock = socket.socket(family, socket.SOCK_STREAM)
        handle: Handle | None = None
        try:
            for option in options:
                sock.setsockopt(*option)
            sock.settimeout(timeout)
            handle = Handle(sock)
            exchange.attach(handle)
            sock.connect(address)
        except BaseException:
            if handle is not None:
                exchange.detach(handle)
                handle.release()
            sock.close()
            raise
        return sock, handle
