"""Failures that a proxy causes: the detail says so, and what to do, without the proxy's password."""

import pytest

from imgrelay_dagster.relay.outcomes import Reason
from tests.support.download_helpers import downloader, failure_of, resolver
from tests.support.refusing_proxy import RefusingProxy

SQUID = {"Via": "1.1 proxy.test (squid/6.10)", "Cache-Status": "proxy.test"}


@pytest.mark.parametrize(
    ("status", "phrase", "advice", "attempts"),
    [
        (403, "403 Forbidden", "allow the host", 1),
        (407, "407 Proxy Authentication Required", "the user and the password", 1),
        (502, "502 Bad Gateway", "", 2),
        (503, "503 Service Unavailable", "", 2),
        (504, "504 Gateway Timeout", "", 2),
    ],
)
def test_a_proxy_that_refuses_a_tunnel_is_named(status: int, phrase: str, advice: str, attempts: int) -> None:
    with RefusingProxy(status) as proxy, downloader(proxy=f"http://user:s3cret@{proxy.name}") as download:
        failure = failure_of(download, "https://images.test/a.jpg")
    assert (failure.reason, failure.attempts, failure.http_status) == (Reason.CONNECT_ERROR, attempts, None)
    assert f"the proxy {proxy.name} answered {phrase} to CONNECT images.test" in failure.detail
    assert advice in failure.detail
    assert "s3cret" not in failure.detail
    assert [line.rpartition(" ")[0] for line in proxy.requests] == ["CONNECT images.test:443"] * attempts


def test_the_407_of_a_proxy_does_not_blame_the_host() -> None:
    with RefusingProxy(407) as proxy, downloader(proxy=f"http://user:s3cret@{proxy.name}") as download:
        failure = failure_of(download, "http://images.test/a.jpg")
    assert (failure.reason, failure.attempts, failure.http_status) == (Reason.HTTP_STATUS, 1, 407)
    assert f"the proxy {proxy.name} returned 407 Proxy Authentication Required" in failure.detail
    assert "s3cret" not in failure.detail


@pytest.mark.parametrize(
    ("status", "headers", "detail", "attempts"),
    [
        (403, SQUID | {"X-Squid-Error": "ERR_ACCESS_DENIED 0"}, "403 Forbidden in place of images.test (ERR_ACC", 1),
        (503, SQUID | {"X-Squid-Error": "ERR_DNS_FAIL 0"}, "503 Service Unavailable in place of images.test (ERR_", 2),
        (502, {"Via": "1.1 p", "Proxy-Status": 'p; error=dns_error; details="a, b"'}, "502 Bad Gateway", 2),
        (504, {"Via": "1.1 p", "Proxy-Status": "cdn, p;error=connection_timeout"}, "504 Gateway Timeout", 2),
        (403, {"Proxy-Authenticate": 'Basic realm="p"'}, "403 Forbidden in place of images.test; allow the host", 1),
        (407, {"Proxy-Authenticate": 'Basic realm="p"'}, "407 Proxy Authentication Required in place of", 1),
    ],
)
def test_an_answer_of_the_proxy_itself_does_not_blame_the_host(
    status: int, headers: dict[str, str], detail: str, attempts: int
) -> None:
    with RefusingProxy(status, headers) as proxy, downloader(proxy=f"http://user:s3cret@{proxy.name}") as download:
        failure = failure_of(download, "http://images.test/a.jpg")
    assert (failure.reason, failure.attempts, failure.http_status) == (Reason.HTTP_STATUS, attempts, status)
    assert failure.detail.startswith(f"the proxy {proxy.name} returned {detail}")
    assert "s3cret" not in failure.detail


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (403, {}),
        (403, {"Via": "1.1 p"}),
        (503, {"Via": "1.1 cdn, 1.1 p", "X-Squid-Error": "ERR_DNS_FAIL 0"}),
        (502, {"Via": "1.1 cdn, 1.1 p", "Proxy-Status": "cdn; error=dns_error"}),
        (502, {"Proxy-Status": "cdn; error=dns_error"}),
        (502, {"Via": "1.1 p", "Proxy-Status": "cdn; error=dns_error, p; fwd=miss"}),
        (502, {"Via": "1.1 p", "Proxy-Status": 'p; details="; error=dns_error"'}),
    ],
)
def test_an_answer_that_may_be_the_hosts_names_the_host(status: int, headers: dict[str, str]) -> None:
    with RefusingProxy(status, headers) as proxy, downloader(proxy=f"http://{proxy.name}", attempts=1) as download:
        failure = failure_of(download, "http://images.test/a.jpg")
    assert (failure.reason, failure.http_status) == (Reason.HTTP_STATUS, status)
    assert failure.detail.startswith(f"images.test returned {status} ")


def test_a_host_that_sends_the_headers_of_a_proxy_is_named_without_one() -> None:
    with RefusingProxy(403, SQUID | {"X-Squid-Error": "ERR_ACCESS_DENIED 0"}) as host, downloader() as download:
        failure = failure_of(download, f"http://{host.name}/a.jpg")
    assert failure.detail.startswith("127.0.0.1 returned 403 Forbidden")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_cannot_be_reached_is_named(scheme: str) -> None:
    with downloader(proxy="http://user:s3cret@127.0.0.1:1", attempts=1) as download:
        failure = failure_of(download, f"{scheme}://images.test/a.jpg")
    assert failure.reason is Reason.CONNECT_ERROR
    assert "the proxy 127.0.0.1:1: Connection refused" in failure.detail
    with downloader(proxy="http://user:s3cret@proxy.test:3128", attempts=1, resolve=resolver()) as download:
        failure = failure_of(download, f"{scheme}://images.test/a.jpg")
    assert failure.reason is Reason.DNS_ERROR
    assert "proxy.test" in failure.detail
    assert "this is the proxy" in failure.detail
    assert "s3cret" not in failure.detail
