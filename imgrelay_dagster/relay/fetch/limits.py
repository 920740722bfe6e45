"""The limits of a download."""

from dataclasses import dataclass, field

from imgrelay_dagster import __version__


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one download, and of all downloads of one process. Times are in seconds, sizes in bytes.

    One download takes at most about `attempts * (deadline + connect_timeout + retry_after_cap)` seconds, plus the
    time it waits for a slot at a host.

    Args:
        connect_timeout: for the name resolution, again for the TCP connection, and for each step of the TLS
            handshake.
        read_timeout: maximum time without data while waiting for the response or for more of its body.
        deadline: for one attempt from name resolution to the last byte, redirects included, even if the server
            keeps sending.
        attempts: maximum number of attempts, including the first.
        backoff: upper bound of the random wait before the second attempt; it doubles with each further attempt.
        backoff_cap: maximum of that bound.
        retry_after_cap: maximum wait for a server's `Retry-After`; a longer one is shortened to this.
        max_bytes: maximum size of a body, both as sent and as decoded.
        max_redirects: redirects followed in one attempt.
        threads: threads that share the downloader; it determines the size of the connection pools. A step uses as many
            as the latency of its servers needs.
        per_host: concurrent requests to one host from this process.
        max_requests_per_second: requests per second to one host, of the whole run; None for as many as there are.
        run_per_host: concurrent requests to one host from all processes of the run; None if it is not limited.
        headers: more headers of every request.
        user_agent: value of the User-Agent header.
        proxy: URL of an HTTP proxy, or None. Proxies set in the environment are ignored. With a proxy, the proxy
            resolves names and connects, so the address guard cannot check any address: the proxy itself must block
            requests to internal addresses.
    """

    connect_timeout: float = 5.0
    read_timeout: float = 10.0
    deadline: float = 60.0
    attempts: int = 3
    backoff: float = 0.5
    backoff_cap: float = 10.0
    retry_after_cap: float = 30.0
    max_bytes: int = 50 * 1024 * 1024
    max_redirects: int = 5
    threads: int = 64
    per_host: int = 32
    max_requests_per_second: float | None = None
    run_per_host: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    user_agent: str = f"imgrelay/{__version__}"
    proxy: str | None = None
