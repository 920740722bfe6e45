"""A run leaks no secrets.

URLs contain passwords, tokens and signatures. They may appear in manifests, receipts and results, which contain the
URLs so that they can serve as manifests again, and nowhere else: not in output, logs, events, tags, step names, notes,
messages or the `detail` of a result.
"""

import json
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.demo.pictures import picture
from imgrelay_dagster.demo.seaweed import SeaweedFS
from tests.support.certificate import make_certificate
from tests.support.hostile_origin import HostileOrigin
from tests.support.leaks import (
    HOSTILE,
    MARK,
    SIGNED,
    USER,
    Command,
    assert_harmless,
    find_secrets,
    leaks_in_destination,
    leaks_in_home,
    leaks_in_output,
    secret_url,
    unused_port,
    write_config,
)

GOOD = "jpeg/tiny-sunset.jpg"


@contextmanager
def collect_notes(home: Path) -> Iterator[set[str]]:
    """Collect the progress notes that steps write to staging while the run is in progress."""
    notes: set[str] = set()
    finished = threading.Event()

    def collect() -> None:
        while not finished.wait(0.2):
            for path in home.glob("staging/*/notes/*"):
                with suppress(OSError):
                    notes.add(f"{path.name} {path.read_text()}")

    collector = threading.Thread(target=collect)
    collector.start()
    try:
        yield notes
    finally:
        finished.set()
        collector.join()


@pytest.fixture(scope="module")
def hostile() -> Iterator[HostileOrigin]:
    with HostileOrigin({"/ok.jpg": (picture(GOOD).data, "image/jpeg")}) as server:
        yield server


@pytest.fixture(scope="module")
def untrusted_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostileOrigin]:
    with HostileOrigin(tls=make_certificate(tmp_path_factory.mktemp("tls"))) as server:
        yield server


def entries(origin: HostileOrigin, untrusted_server: HostileOrigin) -> dict[str, str | None]:
    """URLs with secrets, and the reason that each must get; None for success."""
    signed = f"http://{USER}@127.0.0.1:{origin.port}/status/404?{SIGNED}".replace("&", "%26")
    return {
        secret_url(origin.url("/ok.jpg")): None,
        secret_url(origin.url("/redirect/2/ok.jpg")): None,
        secret_url(origin.url("/status/404")): "http_status",
        secret_url(origin.url("/status/503")): "http_status",
        secret_url(origin.url("/never")): "timeout",
        secret_url(origin.url("/drip")): "timeout",
        secret_url(f"http://127.0.0.1:{unused_port()}/x.jpg"): "connect_error",
        secret_url(origin.url("/hang-up")): "connect_error",
        secret_url(origin.url("/big-headers")): "connect_error",
        secret_url(origin.url("/not-http")): "connect_error",
        secret_url(untrusted_server.url("/x.jpg")): "tls_error",
        secret_url("http://no-such-host.invalid/x.jpg"): "dns_error",
        secret_url("http://10.0.0.1/x.jpg"): "blocked_address",
        secret_url(origin.url(f"/redirect-to?u={signed}"), "n=1"): "http_status",
        secret_url(origin.url(f"/redirect-to?u=ftp://{USER}@host/x%3F{SIGNED}"), "n=2"): "bad_url",
        secret_url(origin.url(f"/redirect-to?u=http:///{USER}@host/x"), "n=3"): "bad_url",
        secret_url(origin.url(f"/redirect-to?u=http://{USER}/a@host:99999999/x"), "n=4"): "bad_url",
        secret_url(origin.url("/redirect-loop")): "too_many_redirects",
        secret_url(origin.url("/html")): "unsupported_format",
        secret_url(origin.url("/status/200")): "unsupported_format",
        secret_url(origin.url("/length-too-large")): "too_large",
        secret_url(origin.url("/close-mid-body")): "truncated",
        secret_url(origin.url("/empty")): "empty_body",
        f"ftp://{USER}@host/x?{SIGNED}": "bad_url",
        f"http://{USER}@ho st/x.jpg?{SIGNED}": "bad_url",
        f"http://{USER}/slash@127.0.0.1/x.jpg?{SIGNED}": "bad_url",
        f"http://{USER}@127.0.0.1:99999/x.jpg?{SIGNED}": "bad_url",
        f"{USER}@127.0.0.1/x.jpg?{SIGNED}": "bad_url",
    }


def malformed_lines(url: str) -> list[str]:
    """Malformed lines of a JSONL manifest, and lines with the URL in a wrong column; each contains a secret."""
    return [
        f'{{"url": "{url}", "key": ',
        f'{{"url": {{"a": "{url}"}}}}',
        json.dumps({"url": f"{url}\x00"}),
        json.dumps({"urls": url}),
        json.dumps([url]),
        json.dumps({"url": "http://127.0.0.1/a.jpg", "template": url}),
        json.dumps({"url": "http://127.0.0.1/a.jpg", "key": url}),
        url,
    ]


@pytest.mark.parametrize("one_by_one", [True, False])
def test_a_run_shows_no_secrets_of_its_urls(
    imgrelay: Command,
    hostile: HostileOrigin,
    untrusted_server: HostileOrigin,
    home: Path,
    tmp_path: Path,
    one_by_one: bool,
):
    expected = entries(hostile, untrusted_server)
    if one_by_one:  # each entry gets its own steps, whose names derive from it
        expected = dict(list(expected.items())[:5])
    bad_lines = malformed_lines(secret_url(hostile.url("/ok.jpg")))
    manifest, out = tmp_path / "birds.jsonl", tmp_path / "out"
    manifest.write_text("\n".join([*map(json.dumps, expected), *bad_lines]) + "\n")
    config = write_config(tmp_path, urls_per_task=1 if one_by_one else 20)
    with collect_notes(home) as notes:
        ran = imgrelay("run", "--config", config, "--manifest", manifest, "--destination", out, "--json")
    assert ran.code == 0, ran.err
    (results,) = out.glob("_relay/birds/runs/*/results.jsonl")
    records = [json.loads(line) for line in results.read_text().splitlines()]
    assert {record["url"]: record["reason"] for record in records[: len(expected)]} == expected
    reasons = [record["reason"] for record in records[len(expected) :]]
    assert reasons == ["invalid_entry"] * 5 + ["template_missing", "invalid_entry", "invalid_entry"]
    assert notes
    assert [*leaks_in_output(ran), *leaks_in_home(home), *leaks_in_destination(out)] == []
    assert list(find_secrets("note", " ".join(notes))) == []


def test_secrets_in_the_run_config_appear_only_in_dagsters_run_storage(
    imgrelay: Command, hostile: HostileOrigin, home: Path, tmp_path: Path
):
    """Dagster stores the run config unchanged, as docs/configuration.md says."""
    out = tmp_path / "out"
    urls = [secret_url(hostile.url("/ok.jpg")), secret_url(hostile.url("/status/404"))]
    ran = imgrelay("run", *urls, "--config", write_config(tmp_path), "--destination", out)
    assert ran.code == 0, ran.err
    assert [*leaks_in_output(ran), *leaks_in_destination(out)] == []
    leaks = leaks_in_home(home)
    assert leaks
    assert {leak.partition(":")[0] for leak in leaks} == {"runs.db"}
    with sqlite3.connect(home / "history" / "runs.db") as database:
        (body,) = database.execute("SELECT run_body FROM runs").fetchone()
        assert MARK in json.dumps(json.loads(body)["run_config"])
        assert list(find_secrets("tags", str(database.execute("SELECT * FROM run_tags").fetchall()))) == []


def test_secrets_of_the_settings_for_hosts_are_sent_and_shown_nowhere(
    imgrelay: Command, hostile: HostileOrigin, home: Path, tmp_path: Path
):
    """A header with a secret of the environment, and a proxy with a password that does not answer."""
    settings = tmp_path / "hosts.yaml"
    settings.write_text(
        'localhost: {headers: {Authorization: "Bearer ${TOKEN}"}}\n'
        f'closed.test: {{proxy: "http://user:${{TOKEN}}@127.0.0.1:{unused_port()}"}}\n'
    )
    manifest = tmp_path / "birds.txt"
    urls = [hostile.url(path, "localhost") for path in ("/ok.jpg", "/status/403", "/html")]
    manifest.write_text("\n".join([*urls, "http://closed.test/a.jpg"]) + "\n")
    variables = {
        "IMGRELAY_ORIGIN_SETTINGS": str(settings),
        "IMGRELAY_ALLOWED_HOSTS": "127.0.0.1,localhost",
        "TOKEN": f"token-{MARK}",
    }
    options = ("--manifest", manifest, "--destination", tmp_path / "out", "--config", write_config(tmp_path), "--json")
    before = len(hostile.seen)
    ran = imgrelay("run", *options, **variables)
    assert ran.code == 0, ran.err
    assert (ran.summary["uploaded"], ran.summary["failed"]) == (1, 3)
    sent = [request.headers.get("authorization") for request in list(hostile.seen)[before:]]
    assert sent
    assert set(sent) == {f"Bearer token-{MARK}"}
    assert [*leaks_in_output(ran), *leaks_in_home(home), *leaks_in_destination(tmp_path / "out")] == []
    missing = imgrelay("run", *options, **{**variables, "TOKEN": ""})
    assert leaks_in_output(missing) == []


class RefusingS3(BaseHTTPRequestHandler):
    """An S3 server that refuses every request with hostile text, and quotes the signature as S3 does."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = (
            f"<Error><Code>SignatureDoesNotMatch</Code><Message>{HOSTILE}</Message>"
            f"<AWSAccessKeyId>{self.headers['Authorization']}</AWSAccessKeyId>"
            f"<StringToSign>AWS4-HMAC-SHA256 {MARK}</StringToSign><SignatureProvided>{MARK}</SignatureProvided></Error>"
        ).encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_DELETE = do_PUT

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def refusing_s3() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), RefusingS3)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_s3_credentials_are_shown_nowhere(
    imgrelay: Command, origin: Origin, seaweed: SeaweedFS, refusing_s3: str, home: Path, tmp_path: Path
):
    seaweed.create_bucket("leaks")
    environment = seaweed.environment()
    secrets = (seaweed.secret_key, seaweed.access_key)
    manifest = tmp_path / "birds.txt"
    manifest.write_text(secret_url(origin.url(GOOD)) + "\n")
    run = ("run", "--manifest", manifest, "--destination", "s3://leaks/framed")
    good = imgrelay(*run, **environment)
    assert good.code == 0, good.err
    wrong = {
        "secret": {"AWS_SECRET_ACCESS_KEY": f"wrong-{MARK}"},
        "refusing server": {"AWS_ENDPOINT_URL_S3": refusing_s3},
        "user info": {"AWS_ENDPOINT_URL_S3": f"http://{USER}@127.0.0.1:{unused_port()}/?{SIGNED}"},
    }
    for case, changed in wrong.items():
        failed = imgrelay(*run, "--refresh", **{**environment, **changed})
        assert failed.code in (1, 2), case
        assert re.search("'s3://leaks/framed' does not take objects|AWS_ENDPOINT_URL_S3 .* belong in", failed.err), case
        assert leaks_in_output(failed, *secrets) == [], case
        assert_harmless(failed.out + failed.err)
    assert leaks_in_output(good, *secrets) == []
    assert leaks_in_home(home, *secrets) == []
    seaweed_client = seaweed.client()
    for item in seaweed_client.list_objects_v2(Bucket="leaks")["Contents"]:
        body = seaweed_client.get_object(Bucket="leaks", Key=item["Key"])["Body"].read().decode("latin-1")
        assert list(find_secrets(item["Key"], body, *secrets)) == [] or item["Key"].endswith(".jsonl")
