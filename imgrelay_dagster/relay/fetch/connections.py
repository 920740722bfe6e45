"""HTTP connections: urllib3's, but opened by `Dialer` and watched by the watchdog.

Of requests only the adapter is used, not `Session`: a session keeps cookies, reads `.netrc`, and reads the whole body
of a redirect even with redirects disabled.
"""

import socket
import ssl
import threading
from contextlib import suppress
from functools import cache
from http.client import HTTPResponse as StandardResponse
from typing import Any

from requests.adapters import HTTPAdapter
from requests.models import PreparedRequest, Response
from requests.structures import CaseInsensitiveDict
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse
from urllib3.util import create_urllib3_context

from imgrelay_dagster.relay.fetch.dialer import Dialer
from imgrelay_dagster.relay.fetch.request_target import Target
from imgrelay_dagster.relay.fetch.response_head import read_head
from imgrelay_dagster.relay.fetch.watchdog import SocketHandle

_MAX_DISCARDED = 8 * 1024  # bytes of an unwanted body that are read to keep its connection
_DISCARD_TIMEOUT = 0.2  # seconds to wait for them
_MAX_IDLE_CONNECTIONS = 256  # kept for reuse; each uses two descriptors, and 1,024 is a common limit of a process


_WITHOUT_BODY = frozenset({204, 304})


@cache  # loading the certificate authorities takes tens of milliseconds
def tls_context() -> ssl.SSLContext:
    """Return the process's TLS settings: certificates are verified with certifi's and the system's authorities.

    Organisations install their own certificate authority in the system's store. `SSL_CERT_FILE` is honoured.
    """
    return new_tls_context()


def new_tls_context() -> ssl.SSLContext:
    """Return new TLS settings with the same authorities."""
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    context.load_default_certs()
    return context


class _TolerantResponse(StandardResponse):
    """A final response whose head `read_head` reads, in place of http.client."""

    def begin(self) -> None:
        if self.headers is not None:
            return
        stream: Any = self.fp
        head = read_head(stream)
        self.version, self.status, self.reason = head.status()
        self.code = self.status
        self.headers = self.msg = head.message()
        self.chunked = (self.headers.get("Transfer-Encoding") or "").lower() == "chunked"
        self.chunk_left = None
        length = (self.headers.get("Content-Length") or "").strip()
        self.length = int(length) if not self.chunked and length.isascii() and length.isdigit() else None
        if self.status in _WITHOUT_BODY or self.status < 200:
            self.length = 0
        self.will_close = self._check_close() or (not self.chunked and self.length is None)


class _WatchedConnection(HTTPConnection):
    """Connects with the `dialer` that its pool sets; the watchdog can shut it down with its handle."""

    response_class = _TolerantResponse
    dialer: Dialer
    handle: SocketHandle | None = None

    def _new_conn(self) -> socket.socket:
        # `_dns_host` keeps the trailing dot of a fully qualified name; `host`, used for the certificate, does not.
        host = self._dns_host.strip("[]")
        timeout = float(self.timeout or 0)
        sock, self.handle = self.dialer.dial(
            host, self.port, timeout, self.socket_options or (), guarded=self.proxy is None
        )
        return sock

    def close(self) -> None:
        # When the response is the last one on the connection, http.client closes the connection before the body is
        # read. The exchange still holds the handle then.
        handle, self.handle = self.handle, None
        try:
            super().close()
        finally:
            if handle is not None:
                handle.release()

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        super().request(method, url, *args, **kwargs)
        if self._response_options is not None:  # urllib3 logs the target when headers are malformed
            without_query = url.partition("?")[0]
            self._response_options = self._response_options._replace(request_url=without_query)


class _WatchedTLSConnection(_WatchedConnection, HTTPSConnection):
    """The same over TLS. SNI and certificate verification use the host name, not the address connected to."""


class _WatchedPool(HTTPConnectionPool):
    ConnectionCls = _WatchedConnection
    dialer: Dialer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._as_written = threading.local()

    def urlopen(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        self._as_written.url = url
        return super().urlopen(method, url, *args, **kwargs)

    def _make_request(self, conn: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        url = self._as_written.url  # `urlopen` rewrites percent-encodings (`%2f` to `%2F`), which breaks signatures
        return super()._make_request(conn, method, url, *args, **kwargs)

    def _new_conn(self) -> Any:
        connection = super()._new_conn()
        connection.dialer = self.dialer  # type: ignore[attr-defined]
        return connection

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection: Any = super()._get_conn(timeout)
        exchange = self.dialer.watchdog.current
        if connection.handle is not None and not exchange.may_reuse:
            connection.close()  # it connects again when the request is sent
        exchange.connection_reused = connection.handle is not None
        if connection.handle is not None:
            exchange.attach(connection.handle)
        return connection

    def _put_conn(self, conn: Any) -> None:
        if conn is not None and conn.handle is not None:
            self.dialer.watchdog.current.detach(conn.handle)
        super()._put_conn(conn)


class _WatchedTLSPool(_WatchedPool, HTTPSConnectionPool):
    ConnectionCls = _WatchedTLSConnection


class _WatchedPools(PoolManager):
    """One pool for each scheme, host and port; the least recently used pool is closed when there are too many."""

    def __init__(self, dialer: Dialer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pool_classes_by_scheme = {"http": _WatchedPool, "https": _WatchedTLSPool}
        self._dialer = dialer

    def _new_pool(self, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        pool = super()._new_pool(*args, **kwargs)
        pool.dialer = self._dialer  # type: ignore[attr-defined]
        return pool


class _WatchedProxyPools(_WatchedPools, ProxyManager):
    """The same, through a proxy."""


class Request(PreparedRequest):
    """A GET request for a target.

    Args:
        target: what to request.
        headers: all headers but Host.
    """

    def __init__(self, target: Target, headers: CaseInsensitiveDict[str]) -> None:
        super().__init__()
        self.target = target
        self.method, self.url, self.headers = "GET", target.url, headers


class _RawResponse(Response):
    """A response of which only `raw` is used; requests would copy its headers and look for cookies."""

    def __init__(self, raw: HTTPResponse) -> None:
        self.raw = raw


class WatchedAdapter(HTTPAdapter):
    """Sends requests over guarded, watched connections; shared by all threads of a process.

    Args:
        dialer: opens the connections.
        threads: number of threads that share the adapter.
        per_host: maximum number of concurrent requests to one host.
        tls: settings of TLS connections.
    """

    def __init__(self, dialer: Dialer, threads: int, per_host: int, tls: ssl.SSLContext) -> None:
        self._dialer = dialer
        self._tls = tls
        pool_size = max(1, min(threads, per_host))
        super().__init__(pool_connections=max(4, _MAX_IDLE_CONNECTIONS // pool_size), pool_maxsize=pool_size)

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
        """Close all idle connections; connections in use are closed when they are returned to their pool."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - the container does not allow iteration
                pool = manager.pools.get(key)
                if pool is not None:  # `clear` alone would leave closing to the garbage collector
                    pool.close()
        super().close()

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        """The pool of the request's target. Without a proxy, the target's origin names it: no URL need be parsed."""
        if proxies:
            return super().get_connection_with_tls_context(request, verify, proxies, cert)
        scheme, host, port = request.target.origin
        return self.poolmanager.connection_from_host(host, port, scheme)

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {}  # the TLS context handles certificates

    def request_url(self, request: Any, proxies: Any) -> str:
        """The request's path as it is written; its whole URL for a proxy that is asked for an http URL."""
        target: Target = request.target
        return target.url if proxies and target.origin[0] == "http" else target.path

    def build_response(self, req: Any, resp: Any) -> Response:  # noqa: ARG002 - requests passes both
        """The response as urllib3 has it."""
        return _RawResponse(resp)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Do nothing; requests would load its certificate authorities again for every connection."""


def has_excess_data(response: HTTPResponse) -> bool:
    """Whether more data than Content-Length has arrived; must be called just before the last byte is read.

    Line breaks after the body do not count: old servers send them. Data that starts like a response is the next
    response.
    """
    stream: Any = getattr(getattr(response, "_fp", None), "fp", None)
    if response.length_remaining != 1 or stream is None:
        return False
    excess = bytes(stream.peek(1))[1:].strip(b"\r\n")
    return bool(excess) and not excess.startswith(b"HTTP/")


def discard_response(response: HTTPResponse) -> None:
    """Close a response whose body is not needed; read a small body first, so that its connection can be reused."""
    length = response.length_remaining
    connection: Any = response.connection
    reusable = response.status >= 200 and length is not None and length <= _MAX_DISCARDED
    if reusable and connection is not None and connection.sock is not None:
        with suppress(HTTPError, OSError):
            connection.sock.settimeout(_DISCARD_TIMEOUT)
            response.read1(_MAX_DISCARDED, decode_content=False)
    response.close()
