"""The requests of a download: URL encoding, headers, credentials, TLS, proxies; and no secrets in messages."""

import logging
import socket
import ssl
import threading
import traceback
from collections.abc import Iterator

import pytest

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.fetch.origin_settings import OriginRules
from imgrelay_dagster.relay.outcomes import Reason
from tests.support.certificate import make_certificate
from tests.support.download_helpers import IMAGES, JPEG, Bodies, downloader, failure_of, resolver
from tests.support.hostile_origin import HostileOrigin

MALFORMED = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nno colon in this header\r\n\r\nno"
BASIC = "Basic dXNlcjpzM2NyZXQ="  # user:s3cret


@pytest.fixture
def origin() -> Iterator[HostileOrigin]:
    with HostileOrigin(IMAGES) as server:
        yield server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def secure(certificate: tuple[str, str]) -> Iterator[HostileOrigin]:
    with HostileOrigin(IMAGES, tls=certificate) as server:
        yield server


def test_spaces_and_non_ascii_characters_are_encoded_and_fragments_removed(origin: HostileOrigin) -> None:
    hosts: list[str] = []

    def resolve(host: str, port: int) -> list[object]:
        hosts.append(host)
        return resolver(**{"xn--bcher-kva": "127.0.0.1"})(host, port)

    with downloader(resolve=resolve) as download:
        failure_of(download, origin.url("/a b/ü%20ö.jpg?q=ä b#part", "bücher.test"))
    request = origin.seen[-1]
    assert request.path == "/a%20b/%C3%BC%20%C3%B6.jpg"
    assert request.query == {"q": "ä b"}
    assert hosts == ["xn--bcher-kva.test"]
    assert request.headers["host"] == f"xn--bcher-kva.test:{origin.port}"


def test_a_location_can_be_utf8_and_relative(origin: HostileOrigin) -> None:
    with downloader() as download:
        failure_of(download, origin.url("/redirect-to?u=../%C3%BC.jpg"))
        failure_of(download, origin.url(f"/redirect-to?u=//127.0.0.1:{origin.port}/x.jpg"))
    assert origin.hits["/%C3%BC.jpg"] == 1
    assert origin.hits["/x.jpg"] == 1


def test_identity_encoding_is_requested_and_cookies_are_not_kept(origin: HostileOrigin) -> None:
    with downloader(user_agent="relay/1") as download:
        download.fetch(origin.url("/cookie"), Bodies())
        download.fetch(origin.url("/ok.jpg"), Bodies())
    headers = origin.seen[-1].headers
    assert headers["accept-encoding"] == "identity"
    assert headers["user-agent"] == "relay/1"
    assert "cookie" not in headers


def test_a_cookie_of_a_redirect_is_sent_back_in_that_chain_and_nowhere_else(origin: HostileOrigin) -> None:
    bodies = Bodies()
    with HostileOrigin(IMAGES) as other, downloader("127.0.0.1", "localhost") as download:
        download.fetch(origin.url("/cookie-redirect/ok.jpg"), bodies)
        download.fetch(origin.url("/ok.jpg"), bodies)
        assert [request.headers.get("cookie") for request in origin.seen] == [None, "seen=1", None]
        away = other.url("/ok.jpg", "localhost")
        download.fetch(origin.url(f"/redirect-to?u=/raw?hex={_redirect_with_cookie(away).hex()}"), bodies)
        assert "cookie" not in other.seen[-1].headers
        failure = failure_of(download, origin.url("/cookie-loop"))
    assert bodies.whole == [JPEG] * 3
    assert failure.reason is Reason.TOO_MANY_REDIRECTS
    assert "asks for cookies" in failure.detail


def _redirect_with_cookie(location: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nSet-Cookie: ticket=7\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize("path", ["/a%2fb/%7Ec.jpg?sig=x%2fy%3D", "//two//slashes.jpg?", "/a/../b.jpg"])
def test_a_url_is_requested_as_it_is_written_and_in_a_redirect_too(path: str) -> None:
    lines: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        threading.Thread(target=_answer_twice, args=(server, f"{url}{path}", lines), daemon=True).start()
        with downloader(attempts=1) as download:
            download.fetch(f"{url}{path}", Bodies())
    assert lines == [f"GET {path} HTTP/1.1"] * 2


def _answer_twice(server: socket.socket, location: str, lines: list[str]) -> None:
    # The cookie makes the second request another one, so that this is no loop.
    for answer in (
        f"302 Found\r\nSet-Cookie: a=1\r\nLocation: {location}\r\nContent-Length: 0",
        "200 OK\r\nContent-Length: 2",
    ):
        sock, _ = server.accept()
        with sock:
            lines.append(sock.recv(4096).decode().split("\r\n")[0])
            sock.sendall(f"HTTP/1.1 {answer}\r\nConnection: close\r\n\r\nok".encode())


def test_user_info_is_sent_as_credentials_to_its_own_origin_only(origin: HostileOrigin) -> None:
    with HostileOrigin(IMAGES) as other, downloader("127.0.0.1", "127.0.0.2") as download:
        there = other.url("/ok.jpg")
        back = origin.url("/ok.jpg")
        download.fetch(origin.url("/redirect/1/ok.jpg", "user:s3cret@127.0.0.1"), Bodies())
        assert [request.headers.get("authorization") for request in origin.seen] == [BASIC, BASIC]

        download.fetch(origin.url(f"/redirect-to?u={there}", "user:s3cret@127.0.0.1"), Bodies())
        assert "authorization" not in other.seen[-1].headers

        # A redirect to another origin and back loses the credentials.
        away = other.url(f"/redirect-to?u={back}")
        download.fetch(origin.url(f"/redirect-to?u={away}", "user:s3cret@127.0.0.1"), Bodies())
        assert "authorization" not in origin.seen[-1].headers

        # Credentials in a Location are ignored.
        claimed = origin.url("/ok.jpg", "eve:pw@127.0.0.1")
        download.fetch(origin.url(f"/redirect-to?u={claimed}"), Bodies())
        assert "authorization" not in origin.seen[-1].headers
    assert all("s3cret" not in str(request.headers) for request in other.seen)


def test_credentials_are_not_sent_after_a_redirect_from_https_to_http(
    origin: HostileOrigin, secure: HostileOrigin, certificate: tuple[str, str]
) -> None:
    bodies = Bodies()
    with downloader(tls=ssl.create_default_context(cafile=certificate[0])) as download:
        url = secure.url(f"/redirect-to?u={origin.url('/ok.jpg')}", "user:s3cret@127.0.0.1")
        download.fetch(url, bodies)
    assert bodies.whole == [JPEG]
    assert secure.seen[-1].headers["authorization"] == BASIC
    assert "authorization" not in origin.seen[-1].headers


@pytest.mark.parametrize("path", ["/ok.jpg", "/chunked/ok.jpg", "/no-length/ok.jpg", "/redirect/2/ok.jpg"])
def test_https_uses_the_host_name(secure: HostileOrigin, certificate: tuple[str, str], path: str) -> None:
    bodies = Bodies()
    resolve = resolver(localhost="127.0.0.1")
    with downloader(resolve=resolve, tls=ssl.create_default_context(cafile=certificate[0])) as download:
        for _ in range(3):
            download.fetch(secure.url(path, "localhost"), bodies)
    assert bodies.whole == [JPEG] * 3
    assert secure.seen[-1].headers["host"] == f"localhost:{secure.port}"
    assert secure.connections == (3 if "no-length" in path else 1)


def test_a_certificate_for_another_name_or_from_an_unknown_authority_is_final(
    secure: HostileOrigin, certificate: tuple[str, str]
) -> None:
    # The certificate is trusted, but not valid for this name.
    resolve = resolver(other="127.0.0.1")
    with downloader(resolve=resolve, tls=ssl.create_default_context(cafile=certificate[0])) as download:
        failure = failure_of(download, secure.url("/ok.jpg", "other.test"))
        assert (failure.reason, failure.attempts) == (Reason.TLS_ERROR, 1)
        assert "other.test" in failure.detail
    with downloader() as download:
        failure = failure_of(download, secure.url("/ok.jpg"))
        assert (failure.reason, failure.attempts) == (Reason.TLS_ERROR, 1)
        assert "self-signed certificate" in failure.detail
    assert not secure.hits


def test_https_to_a_server_without_tls_is_a_tls_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain, downloader() as download:
        threading.Thread(target=_answer_in_plain_text, args=(plain,), daemon=True).start()
        failure = failure_of(download, f"https://127.0.0.1:{plain.getsockname()[1]}/ok.jpg")
    assert (failure.reason, failure.attempts) == (Reason.TLS_ERROR, 1)


def test_headers_of_a_host_do_not_follow_a_redirect_to_another(origin: HostileOrigin) -> None:
    rules = OriginRules([("127.0.0.1", {"headers": {"Authorization": "Bearer s3cret"}, "user_agent": "own/1"})])
    with HostileOrigin(IMAGES) as other, downloader("127.0.0.1", "localhost", rules=rules) as download:
        there = other.url("/ok.jpg", "localhost")
        download.fetch(origin.url(f"/redirect-to?u={there}"), Bodies())
        failure = failure_of(download, origin.url("/status/404"))
    first = origin.seen[0].headers
    assert (first["authorization"], first["user-agent"]) == ("Bearer s3cret", "own/1")
    assert "image/" in first["accept"]
    assert "authorization" not in other.seen[0].headers
    assert other.seen[0].headers["user-agent"].startswith("imgrelay/")
    assert "s3cret" not in failure.detail


def test_a_host_that_cannot_be_reached_names_the_proxy_that_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://user:s3cret@proxy.test:3128")
    with downloader(resolve=resolver(), attempts=1) as download:
        failure = failure_of(download, "http://nowhere.test/a.jpg")
    assert failure.reason is Reason.DNS_ERROR
    assert "HTTP_PROXY is set, but proxies of the environment are not used" in failure.detail
    assert "s3cret" not in failure.detail


def test_behind_a_proxy_hosts_that_are_addresses_are_checked() -> None:
    rules = OriginRules([("*", {"proxy": "http://127.0.0.1:1"})])
    with downloader("nothing.test", rules=rules) as download:
        for host in ("127.0.0.1", "169.254.169.254", "[::1]", "10.0.0.8"):
            assert failure_of(download, f"http://{host}/a.jpg").reason is Reason.BLOCKED_ADDRESS


def test_proxies_of_the_environment_are_ignored(origin: HostileOrigin, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = Bodies()
    with HostileOrigin() as proxy, downloader() as download:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy.url(""))
        download.fetch(origin.url("/ok.jpg"), bodies)
    assert bodies.whole == [JPEG]
    assert proxy.connections == 0


def test_a_configured_proxy_is_used_and_resolves_names_itself() -> None:
    bodies = Bodies()
    images = {"http://images.test/ok.jpg": IMAGES["/ok.jpg"]}
    with (
        HostileOrigin(images) as proxy,
        downloader("nothing.test", proxy=proxy.url(""), resolve=resolver()) as download,
    ):
        download.fetch("http://images.test/ok.jpg", bodies)
        download.fetch("http://images.test/ok.jpg", bodies)
    assert bodies.whole == [JPEG, JPEG]
    assert proxy.connections == 1


@pytest.mark.parametrize(
    "path",
    [
        *("/status/404", "/status/503", "/hang-up", "/never", "/big-headers", "/close-mid-body", "/empty"),
        *("/redirect-loop", "/lengths-differ", "/redirect-to?u=ftp://user:s3cret@h/?s3cret", "/length-too-large"),
        *(f"/raw?hex={MALFORMED.hex()}", "/redirect-to?u=http://10.0.0.1/?s3cret"),
    ],
)
def test_failures_tracebacks_and_logs_show_no_secrets(
    origin: HostileOrigin, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    caplog.set_level(logging.DEBUG)
    url = origin.url(f"{path}{'&' if '?' in path else '?'}sig=s3cret", "user:s3cret@127.0.0.1")
    with downloader(read_timeout=0.2) as download, pytest.raises(EntryFailure) as caught:
        download.fetch(url, Bodies())
    text = "".join(traceback.format_exception(caught.value))
    assert "s3cret" not in caught.value.detail
    assert "s3cret" not in text.replace(url, "")
    assert "s3cret" not in caplog.text


def _answer_in_plain_text(listener: socket.socket) -> None:
    sock, _ = listener.accept()
    with sock:
        sock.recv(4096)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
