"""How each host is reached and what it is sent: headers, proxy, TLS settings, limits."""

import ssl
import threading
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from requests.structures import CaseInsensitiveDict

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.fetch.connections import WatchedAdapter, new_tls_context, tls_context
from imgrelay_dagster.relay.fetch.dialer import Dialer
from imgrelay_dagster.relay.fetch.limits import Limits
from imgrelay_dagster.relay.fetch.origin_settings import OriginRules, OriginSettings
from imgrelay_dagster.relay.fetch.request_target import Target

ACCEPT = "image/jpeg,image/png,image/*;q=0.9,*/*;q=0.8"
"""Names image types, as some servers demand. It prefers the formats of originals: some servers convert to what is
asked for first."""


MAX_CACHED = 10_000
"""Hosts whose headers are kept."""


class Routes:
    """The ways to all hosts, for all threads of a process.

    Args:
        tls: TLS settings of hosts without any of their own; None for the process's.
    """

    def __init__(self, limits: Limits, rules: OriginRules, dialer: Dialer, tls: ssl.SSLContext | None) -> None:
        self._limits = limits
        self._rules = rules
        self._dialer = dialer
        self._tls = tls
        self._adapters: dict[tuple[str | None, str | None], WatchedAdapter] = {}
        self._headers: dict[str, CaseInsensitiveDict[str]] = {}
        self._lock = threading.Lock()

    def adapter(self, target: Target) -> WatchedAdapter:
        """The adapter that sends a target's requests."""
        settings = self._rules.of(target.host)
        key = (settings.verify, settings.client_certificate)
        with self._lock:
            if key not in self._adapters:
                tls = self._tls or tls_context() if key == (None, None) else _own_tls(settings)
                limits = self._limits
                self._adapters[key] = WatchedAdapter(self._dialer, limits.threads, limits.per_host, tls)
            return self._adapters[key]

    def headers(self, target: Target) -> CaseInsensitiveDict[str]:
        """The headers of requests to a target's host. The caller does not change them."""
        found = self._headers.get(target.host)
        if found is None:
            settings = self._rules.of(target.host)
            agent = {"User-Agent": settings.user_agent} if settings.user_agent else {}
            found = CaseInsensitiveDict({"User-Agent": self._limits.user_agent, "Accept": ACCEPT})
            for more in (self._limits.headers, agent, settings.headers, {"Accept-Encoding": "identity"}):
                found.update(more)
            if len(self._headers) < MAX_CACHED:
                self._headers[target.host] = found
        return found

    def proxies(self, target: Target) -> dict[str, str] | None:
        """The proxy of a target, as requests names it; None without one."""
        proxy = self._rules.of(target.host).proxy or self._limits.proxy
        return {"http": proxy, "https": proxy} if proxy else None

    def proxy_name(self, target: Target) -> str | None:
        """Host and port of a target's proxy, without user and password; None without a proxy."""
        proxies = self.proxies(target)
        return urlsplit(proxies["http"]).netloc.rpartition("@")[2] if proxies else None

    def proxy_note(self, target: Target) -> str:
        """A sentence for a host that cannot be reached while a proxy of the environment would be used by others."""
        scheme, host, _ = target.origin
        if self.proxies(target) or scheme not in getproxies_environment() or proxy_bypass(host):
            return ""
        name = f"{scheme.upper()}_PROXY"
        return f"; {name} is set, but proxies of the environment are not used: set `proxy` in IMGRELAY_ORIGIN_SETTINGS"

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for adapter in self._adapters.values():
                adapter.close()


def _own_tls(settings: OriginSettings) -> ssl.SSLContext:
    context = new_tls_context()
    try:
        if settings.verify:
            context.load_verify_locations(settings.verify)
        if settings.client_certificate:
            context.load_cert_chain(settings.client_certificate, password=lambda: "")
    except (OSError, ssl.SSLError) as error:
        files = " and ".join(filter(None, (settings.verify, settings.client_certificate)))
        raise RelayError(f"origin settings: {files} cannot be used: {error.strerror or type(error).__name__}") from None
    return context
