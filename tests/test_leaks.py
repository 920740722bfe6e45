"""Nothing secret leaks, and no hostile text breaks what it is shown in.

URLs carry passwords, tokens and signatures. They belong where a URL belongs, in manifests, receipts and results, so
that these are manifests again; and nowhere else: no output, log, event, tag, step name, note, message or `detail`.
"""

import base64
import json
import re
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from imgrelay_dagster import cli
from imgrelay_dagster.config import RelayConfig
from imgrelay_dagster.console import Console
from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.demo.pictures import picture
from imgrelay_dagster.demo.seaweed import SeaweedFS
from imgrelay_dagster.ops.report import summary_metadata
from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.redact import redact, redact_text
from imgrelay_dagster.relay.report import Summary
from imgrelay_dagster.relay.target import follow, parse
from tests.certificate import make_certificate
from tests.conftest import Ran
from tests.hostile import HostileOrigin

Command = Callable[..., Ran]

MARK = "s3cr3t"
USER = f"user:pw-{MARK}"
SIGNED = f"X-Amz-Credential=AKIA{MARK}&X-Amz-Signature=deadbeef{MARK}"
BASIC = base64.b64encode(USER.encode()).decode()
GOOD = "jpeg/tiny-sunset.jpg"
IMPATIENT = {"attempts": 1, "connect_timeout": 1, "read_timeout": 0.5, "deadline": 2, "max_bytes": 400_000}

HOSTILE = '\x1b[31m\x1b]0;title\x07[red]bold[/red]\r\n| `x` | <script>alert(1)</script> \u202e\u2028\x9b31m"'
"""Terminal escapes, rich markup, line breaks, Markdown, HTML, a turn of the writing direction."""


def secret_url(url: str, query: str = SIGNED) -> str:
    """The URL with a password and a signature."""
    scheme, rest = url.split("://", 1)
    return f"{scheme}://{USER}@{rest}{'&' if '?' in rest else '?'}{query}"


def found(where: str, text: str, *secrets: str) -> Iterator[str]:
    """The places in a text where a secret stands, with what is around it."""
    for secret in (MARK, BASIC, *secrets):
        for match in re.finditer(re.escape(secret), text):
            yield f"{where}: ...{text[max(0, match.start() - 120) : match.end() + 20]!r}"


def in_output(ran: Ran, *secrets: str) -> list[str]:
    return [*found("stdout", ran.out, *secrets), *found("stderr", ran.err, *secrets)]


def rows(path: Path) -> Iterator[str]:
    """Every row of every table of an SQLite file. Its bytes alone would not do: long rows lie in pieces there."""
    with sqlite3.connect(path) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in database.execute(f'SELECT * FROM "{table}"'):
                yield f"{table} " + " ".join(
                    value.decode("latin-1") if isinstance(value, bytes) else str(value) for value in row
                )


def in_home(home: Path, *secrets: str) -> list[str]:
    """Leaks into the Dagster instance: runs, tags, events, step keys, logs, files."""
    leaks: list[str] = []
    databases = 0
    for path in sorted(home.rglob("*")):
        if not path.is_file():
            continue
        data = path.read_bytes()
        if data.startswith(b"SQLite format 3"):
            databases += 1
            for row in rows(path):
                leaks += found(path.name, row, *secrets)
        else:
            leaks += found(path.name, data.decode("latin-1"), *secrets)
    assert databases >= 2, "the instance keeps its runs and events elsewhere; this test looks at nothing"
    return leaks


def in_destination(folder: Path, *secrets: str) -> list[str]:
    """Leaks into results, receipts and images, the URL column of records left out."""
    leaks: list[str] = []
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".jsonl":
            for line in path.read_text().splitlines():
                record = json.loads(line)
                assert record.pop("url")
                leaks += found(path.name, json.dumps(record), *secrets)
        elif path.is_file():
            leaks += found(path.name, path.read_bytes().decode("latin-1"), *secrets)
        leaks += found("name", str(path), *secrets)
    return leaks


@contextmanager
def notes(home: Path) -> Iterator[set[str]]:
    """Collects what steps leave in staging for whoever watches the run, while it goes on."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            for path in home.glob("staging/*/notes/*"):
                with suppress(OSError):
                    seen.add(f"{path.name} {path.read_text()}")

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


@pytest.fixture(scope="module")
def hostile() -> Iterator[HostileOrigin]:
    with HostileOrigin({"/ok.jpg": (picture(GOOD).data, "image/jpeg")}) as server:
        yield server


@pytest.fixture(scope="module")
def untrusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostileOrigin]:
    with HostileOrigin(tls=make_certificate(tmp_path_factory.mktemp("tls"))) as server:
        yield server


def nobody() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def write_config(folder: Path, **form: Any) -> Path:
    path = folder / "run.json"  # YAML is a superset
    path.write_text(json.dumps({"download": IMPATIENT, "tolerated_failure_percentage": 100, **form}))
    return path


def entries(origin: HostileOrigin, untrusted: HostileOrigin) -> dict[str, str | None]:
    """URLs with secrets that end in every way, with the reason that each must have."""
    signed = f"http://{USER}@127.0.0.1:{origin.port}/status/404?{SIGNED}".replace("&", "%26")
    return {
        secret_url(origin.url("/ok.jpg")): None,
        secret_url(origin.url("/redirect/2/ok.jpg")): None,
        secret_url(origin.url("/status/404")): "http_status",
        secret_url(origin.url("/status/503")): "http_status",
        secret_url(origin.url("/never")): "timeout",
        secret_url(origin.url("/drip")): "timeout",
        secret_url(f"http://127.0.0.1:{nobody()}/x.jpg"): "connect_error",
        secret_url(origin.url("/hang-up")): "connect_error",
        secret_url(origin.url("/big-headers")): "connect_error",
        secret_url(origin.url("/not-http")): "connect_error",
        secret_url(untrusted.url("/x.jpg")): "tls_error",
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


def malformed(url: str) -> list[str]:
    """Lines of a JSONL manifest that are no entry, and entries whose columns are mixed up; each names a secret."""
    return [
        f'{{"url": "{url}", "key": ',
        f'{{"url": ["{url}"]}}',
        json.dumps({"url": f"{url}\x00"}),
        json.dumps({"urls": url}),
        json.dumps([url]),
        json.dumps({"url": "http://127.0.0.1/a.jpg", "template": url}),
        url,
    ]


@pytest.mark.parametrize("one_by_one", [True, False])
def test_no_url_shows_its_secrets(
    imgrelay: Command, hostile: HostileOrigin, untrusted: HostileOrigin, home: Path, tmp_path: Path, one_by_one: bool
):
    wanted = entries(hostile, untrusted)
    bad = malformed(secret_url(hostile.url("/ok.jpg")))
    manifest, out = tmp_path / "birds.jsonl", tmp_path / "out"
    manifest.write_text("\n".join([*map(json.dumps, wanted), *bad]) + "\n")
    config = write_config(tmp_path, urls_per_task=1 if one_by_one else 20)
    with notes(home) as noted:
        ran = imgrelay("run", "--config", config, "--manifest", manifest, "--destination", out, "--json")
    assert ran.code == 0, ran.err
    (results,) = out.glob("_relay/birds/runs/*/results.jsonl")
    records = [json.loads(line) for line in results.read_text().splitlines()]
    assert {record["url"]: record["reason"] for record in records[: len(wanted)]} == wanted
    reasons = [record["reason"] for record in records[len(wanted) :]]
    assert reasons == ["invalid_entry"] * 5 + ["template_missing", "invalid_entry"]
    assert noted
    assert [*in_output(ran), *in_home(home), *in_destination(out)] == []
    assert list(found("note", " ".join(noted))) == []
