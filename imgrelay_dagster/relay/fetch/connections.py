"""The HTTP connections: urllib3's, but dialled by `Dialer` and always under watch.

Of requests only the adapter is used, not `Session`: a session keeps cookies, reads `.netrc` and, even when
told not to follow a redirect, reads its whole body.
"""

import socket
import ssl
from contextlib import suppress
from functools import cache
from http.client import HTTPException, parse_headers
from http.client import HTTPResponse as Answer
from typing import Any

from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse
from urllib3.util import create_urllib3_context

from imgrelay_dagster.relay.fetch.dialer import Dialer
from imgrelay_dagster.relay.fetch.watchdog import Handle

_SMALL = 8 * 1024  # bytes of an unwanted body that are read to keep the connection
_PATIENCE = 0.2  # seconds waited for them
_MOST_INTERIM = 16  # answers of 1xx before the final one
_MOST_IDLE = 256  # connections kept for reuse; each holds two descriptors, and 1,024 is a usual limit


@cache  # reading the authorities takes tens of milliseconds
def tls_context() -> ssl.SSLContext:
    """The process's TLS settings: certificates are verified by certifi's list and by the system's.

    The system's store is where an organisation's own authority is installed; `SSL_CERT_FILE` is honoured.
    """
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    context.load_default_certs()
    return context


class _FinalAnswer(Answer):
    """A server's answer, past what it may send before: 102, 103 and any other of 1xx (RFC 9110 15.2).

    http.client passes over 100 alone. Taken for the answer, another one would leave the true one in the connection, as
    the answer to the next request. 101 is final: nothing that follows it is HTTP.
    """

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(_MOST_INTERIM):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 101 < status < 200:
                return version, status, reason
            parse_headers(self.fp)
        raise HTTPException(f"more than {_MOST_INTERIM} answers before the final one")


class _WatchedConnection(HTTPConnection):
    """Dials by the `dialer` that its pool sets, and holds the handle by which it can be cut."""

    response_class = _FinalAnswer
    dialer: Dialer
    handle: Handle | None = None

    def _new_conn(self) -> socket.socket:
        # `_dns_host` keeps the trailing dot of a fully qualified name, `host` is the certificate's name.
        host = self._dns_host.strip("[]")
        timeout = float(self.timeout or 0)
        sock, self.handle = self.dialer.dial(
            host, self.port, timeout, self.socket_options or (), guarded=self.proxy is None
        )
        return sock

    def close(self) -> None:
        # http.client closes the connection before the body is read when the answer is the last on it. The
        # exchange still holds the handle then.
        handle, self.handle = self.handle, None
        try:
            super().close()
        finally:
            if handle is not None:
                handle.release()

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        super().request(method, url, *args, **kwargs)
        if self._response_options is not None:  # urllib3 logs the target when headers are malformed
            shown = url.partition("?")[0]
            self._response_options = self._response_options._replace(request_url=shown)


class _WatchedTLSConnection(_WatchedConnection, HTTPSConnection):
    """The same over TLS: server name and certificate are the host name's, whatever address is used."""


class _WatchedPool(HTTPConnectionPool):
    ConnectionCls = _WatchedConnection
    dialer: Dialer

    def _new_conn(self) -> Any:
        connection = super()._new_conn()
        connection.dialer = self.dialer  # type: ignore[attr-defined]
        return connection

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection: Any = super()._get_conn(timeout)
        if connection.handle is not None:
            self.dialer.watchdog.current.attach(connection.handle)
        return connection

    def _put_conn(self, conn: Any) -> None:
        if conn is not None and conn.handle is not None:
            self.dialer.watchdog.current.detach(conn.handle)
        super()._put_conn(conn)


class _WatchedTLSPool(_WatchedPool, HTTPSConnectionPool):
    ConnectionCls = _WatchedTLSConnection


class _WatchedPools(PoolManager):
    """One pool for each host, port and scheme; of many, the least recently used is dropped."""

    def __init__(self, dialer: Dialer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pool_classes_by_scheme = {"http": _WatchedPool, "https": _WatchedTLSPool}
        self._dialer = dialer

    def _new_pool(self, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        pool = super()._new_pool(*args, **kwargs)
        pool.dialer = self._dialer  # type: ignore[attr-defined]
        return pool


class _WatchedProxyPools(_WatchedPools, ProxyManager):
    """The same, all through a proxy."""


class WatchedAdapter(HTTPAdapter):
    """Sends requests over guarded, watched connections; shared by all threads of a process.

    Args:
        dialer: opens the connections.
        threads: how many threads share the adapter.
        per_host: how many requests to one host there may be at a time.
        tls: settings of TLS connections.
    """

    def __init__(self, dialer: Dialer, threads: int, per_host: int, tls: ssl.SSLContext) -> None:
        self._dialer = dialer
        self._tls = tls
        kept = max(1, min(threads, per_host))
        super().__init__(pool_connections=max(4, _MOST_IDLE // kept), pool_maxsize=kept)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:
        self._pool_connections, self._pool_maxsize, self._pool_block = connections, maxsize, block
        self.poolmanager = _WatchedPools(
            self._dialer, connections, maxsize=maxsize, block=block, ssl_context=self._tls, **kwargs
        )

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> ProxyManager:
        manager: ProxyManager | None = self.proxy_manager.get(proxy)
        if manager is None:
            manager = _WatchedProxyPools(
                self._dialer,
                proxy,
                num_pools=self._pool_connections,
                maxsize=self._pool_maxsize,
                proxy_headers=self.proxy_headers(proxy),
                proxy_ssl_context=self._tls,
                ssl_context=self._tls,
                **kwargs,
            )
            self.proxy_manager[proxy] = manager
        return manager

    def close(self) -> None:
        """Close all idle connections; those in use are closed when they come back."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - it forbids to be iterated
                pool = manager.pools.get(key)
                if pool is not None:  # not left to the garbage collector, as `clear` alone would
                    pool.close()
        super().close()

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {}  # certificates are the context's matter

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Do nothing: requests would load its list of authorities anew for every connection."""


def continues(answer: HTTPResponse) -> bool:
    """Whether the body goes on beyond its Content-Length, as far as has arrived; to be asked before its last byte.

    A line break after the body is an old server's habit, and what starts like an answer is another answer.
    """
    stream: Any = getattr(getattr(answer, "_fp", None), "fp", None)
    if answer.length_remaining != 1 or stream is None:
        return False
    behind = bytes(stream.peek(1))[1:].strip(b"\r\n")
    return bool(behind) and not behind.startswith(b"HTTP/")


def discard(answer: HTTPResponse) -> None:
    """Be done with an answer whose body is not wanted; keep its connection if that costs next to nothing."""
    length = answer.length_remaining
    connection: Any = answer.connection
    kept = answer.status >= 200 and length is not None and length <= _SMALL
    if kept and connection is not None and connection.sock is not None:
        with suppress(HTTPError, OSError):
            connection.sock.settimeout(_PATIENCE)
            answer.read1(_SMALL, decode_content=False)
    answer.close()
