"""nginx, HAProxy and squid as people run them in front of their images: limits, codings, silence, resets, a proxy."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import Ran
from tests.support import web_servers
from tests.support.command import until

Relay = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a picture, and the same picture packed by gzip as `gzip_static` wants it."""
    import gzip

    folder = tmp_path_factory.mktemp("pictures")
    for above in (folder, *folder.parents[:3]):
        above.chmod(0o755)
    Image.radial_gradient("L").resize((320, 240)).convert("RGB").save(folder / "picture.jpg")
    (folder / "picture.jpg.gz").write_bytes(gzip.compress((folder / "picture.jpg").read_bytes()))
    return folder


@pytest.fixture(scope="module")
def nginx(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with web_servers.nginx(tmp_path_factory.mktemp("servers") / "nginx", pictures) as address:
        yield address


@pytest.fixture
def relay(imgrelay: Callable[..., Ran], tmp_path: Path) -> Relay:
    """Relays URLs with the command; returns the lines of the results."""

    def run(urls: list[str], **environment: str) -> list[dict[str, Any]]:
        (tmp_path / "birds.txt").write_text("\n".join(urls))
        options = ("--manifest", "birds.txt", "--destination", "out", "--tolerated-failure-percentage", "100", "--json")
        ran = imgrelay("run", *options, **environment)
        assert ran.code == 0, ran.err
        (results,) = (tmp_path / "out").glob(f"_relay/*/runs/{ran.summary['run_id']}/results.jsonl")
        return [json.loads(line) for line in results.read_text().splitlines()]

    return run


def numbered(address: str, folder: str, count: int) -> list[str]:
    return [f"http://{address}/{folder}/picture.jpg?{number}" for number in range(count)]


def ends(records: list[dict[str, Any]]) -> Counter[str]:
    return Counter(record["reason"] or record["outcome"] for record in records)


@pytest.mark.parametrize("folder", ["rate", "delayed", "connections"])
def test_limits_of_nginx_cost_no_image(nginx: str, relay: Relay, folder: str):
    """nginx answers 503 without Retry-After to what exceeds `limit_req` and `limit_conn`."""
    assert ends(relay(numbered(nginx, folder, 60))) == {"uploaded": 60}


def test_connections_that_nginx_closes_after_some_requests_cost_no_attempt(nginx: str, relay: Relay):
    records = relay(numbered(nginx, "plain", 40))
    assert ends(records) == {"uploaded": 40}
    assert {record["attempts"] for record in records} == {1}


def test_what_nginx_packs_is_unpacked(nginx: str, relay: Relay, pictures: Path):
    """`gzip_static always` sends the packed file to everybody, also to a client that asks for no coding."""
    urls = [*numbered(nginx, "packed", 2), *numbered(nginx, "stored", 2), *numbered(nginx, "moved", 2)]
    records = relay(urls)
    assert ends(records) == {"uploaded": 6}
    assert len({record["sha256"] for record in records}) == 1
    assert {record["bytes_in"] for record in records} == {(pictures / "picture.jpg").stat().st_size}


def test_a_path_where_nginx_says_nothing_fails_alone(nginx: str, relay: Relay):
    """`return 444` closes the connection without an answer."""
    records = relay([*numbered(nginx, "silent", 2), *numbered(nginx, "plain", 10)])
    assert ends(records) == {"connect_error": 2, "uploaded": 10}


def test_haproxy_s_limit_costs_no_image_and_its_resets_fail_alone(nginx: str, relay: Relay, tmp_path: Path):
    """HAProxy counts every request against the limit, also those that it refuses."""
    with web_servers.haproxy(tmp_path / "haproxy", nginx) as address:
        records = relay([*numbered(address, "rate", 60), *numbered(address, "reset", 2)])
    assert ends(records) == {"uploaded": 60, "connect_error": 2}


def test_downloads_go_through_squid_where_the_settings_say_so(nginx: str, relay: Relay, tmp_path: Path):
    with web_servers.squid() as (proxy, log):
        (tmp_path / "hosts.yaml").write_text(f"127.0.0.1: {{proxy: 'http://{proxy}'}}\n")
        records = relay(numbered(nginx, "plain", 5), IMGRELAY_ORIGIN_SETTINGS=str(tmp_path / "hosts.yaml"))
        assert ends(records) == {"uploaded": 5}
        until(lambda: log.read_text().count("/plain/picture.jpg") == 5, 10, "squid has written its log")
