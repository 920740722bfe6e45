"""The limits a download is held to, all in one place."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process may spend on downloads, and on each of them. Times are seconds, sizes bytes.

    One download takes at most about `attempts * (deadline + connect_timeout + retry_after_cap)` seconds,
    beside the time it waits for its turn at a host.

    Args:
        connect_timeout: for the name look-up, again for reaching the host, and for each step of the TLS
            handshake.
        read_timeout: longest silence while waiting for the answer or for more of it.
        deadline: for one attempt from first look-up to last byte, redirects included, however busily a
            server drips.
        attempts: tries in all, the first included.
        backoff: upper bound of the random wait before the second try; it doubles with each further try.
        backoff_cap: what that bound never exceeds.
        retry_after_cap: longest wait a server's `Retry-After` is granted; a longer one is cut to this.
        max_bytes: largest body, as sent and as decoded.
        max_redirects: redirects followed in one attempt.
        threads: threads that share the downloader; sizes the connection pools.
        per_host: requests in flight to one host at a time, from this process.
        user_agent: value of the User-Agent header.
        proxy: URL of an HTTP proxy, or None for none. Proxies of the environment are never used. Behind a
            proxy it is the proxy that looks up and connects, so the address guard cannot check anything:
            the proxy must then keep requests away from internal addresses.
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
    threads: int = 16
    per_host: int = 16
    user_agent: str = "imgrelay"
    proxy: str | None = None
