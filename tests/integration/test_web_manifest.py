"""Manifests on the web, from a real server."""

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.fetch.address_guard import AddressGuard
from imgrelay_dagster.relay.fetch.downloader import Downloader
from imgrelay_dagster.relay.fetch.limits import Limits
from imgrelay_dagster.relay.manifest.options import ReadOptions
from imgrelay_dagster.relay.manifest.rows import ManifestRow, Row
from imgrelay_dagster.relay.manifest.web_manifest import manifest_limits, web_rows


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def read(url: str, *allowed: str) -> list[Row]:
    limits = manifest_limits(Limits(attempts=1))
    downloader = Downloader(limits, AddressGuard(list(allowed)), stop=threading.Event())
    return list(web_rows(url, downloader, ReadOptions()))


@pytest.mark.parametrize("target", ["shop.csv?signature=secret", "export?format=csv", "export", "array"])
def test_the_format_is_found(served: str, tmp_path: Path, target: str):
    for name in ("shop.csv", "export"):
        (tmp_path / name).write_text("sku;Image Src\n1;http://h/a.jpg\n")
    (tmp_path / "array").write_text('[{"image": "http://h/a.jpg"}]')
    (row,) = read(f"{served}/{target}", "127.0.0.1")
    assert isinstance(row, ManifestRow)
    assert row.url == "http://h/a.jpg"


def test_errors_name_the_manifest_without_its_query(served: str, tmp_path: Path):
    (tmp_path / "login.csv").write_text("<!doctype html><html>")
    for target, message in (("login.csv", "is an HTML page"), ("gone.csv", "returned 404")):
        with pytest.raises(RelayError, match=message) as failed:
            read(f"{served}/{target}?signature=secret", "127.0.0.1")
        assert "secret" not in str(failed.value)
    with pytest.raises(RelayError, match="only public addresses"):
        read(f"{served}/login.csv")
