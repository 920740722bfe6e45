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
from imgrelay_dagster.commands.console import Console
from imgrelay_dagster.config.run_config import RelayConfig
from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.demo.pictures import picture
from imgrelay_dagster.demo.seaweed import SeaweedFS
from imgrelay_dagster.ops.metadata import summary_metadata
from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.fetch.request_target import follow, parse
from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.redact import redact, redact_text
from imgrelay_dagster.relay.results.fold import Summary
from imgrelay_dagster.relay.storage.stores import S3Settings, open_store
from tests.conftest import Ran
from tests.support.certificate import make_certificate
from tests.support.hostile import HostileOrigin

Command = Callable[..., Ran]

MARK = "s3cr3t"
USER = f"user:pw-{MARK}"
SIGNED = f"X-Amz-Credential=AKIA{MARK}&X-Amz-Signature=deadbeef{MARK}"
BASIC = base64.b64encode(USER.encode()).decode()
GOOD = "jpeg/tiny-sunset.jpg"
IMPATIENT = {"attempts": 1, "connect_timeout": 3, "read_timeout": 2, "deadline": 4, "max_bytes": 400_000}

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
    """Leaks into results, receipts and images. The manifest's own columns are left out: they make a manifest again."""
    leaks: list[str] = []
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".jsonl":
            for line in path.read_text().splitlines():
                record = json.loads(line)
                assert record.pop("url")
                record["key"] = record["template"] = None
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
        secret_url(origin.url(f"/redirect-to?u=http:///{USER}@host/x"), "n=3"): "http_status",
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
        json.dumps({"url": "http://127.0.0.1/a.jpg", "key": url}),
        url,
    ]


@pytest.mark.parametrize("one_by_one", [True, False])
def test_no_url_shows_its_secrets(
    imgrelay: Command, hostile: HostileOrigin, untrusted: HostileOrigin, home: Path, tmp_path: Path, one_by_one: bool
):
    wanted = entries(hostile, untrusted)
    if one_by_one:  # a chain of steps for each, named after it
        wanted = dict(list(wanted.items())[:5])
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
    assert reasons == ["invalid_entry"] * 5 + ["template_missing", "invalid_entry", "invalid_entry"]
    assert noted
    assert [*in_output(ran), *in_home(home), *in_destination(out)] == []
    assert list(found("note", " ".join(noted))) == []


def test_urls_in_the_run_config_are_kept_by_dagster_and_only_there(
    imgrelay: Command, hostile: HostileOrigin, home: Path, tmp_path: Path
):
    """As docs/configuration.md says: Dagster keeps a run's config, and what stands in it."""
    out = tmp_path / "out"
    urls = [secret_url(hostile.url("/ok.jpg")), secret_url(hostile.url("/status/404"))]
    ran = imgrelay("run", *urls, "--config", write_config(tmp_path), "--destination", out)
    assert ran.code == 0, ran.err
    assert [*in_output(ran), *in_destination(out)] == []
    leaks = in_home(home)
    assert leaks
    assert {leak.partition(":")[0] for leak in leaks} == {"runs.db"}
    with sqlite3.connect(home / "history" / "runs.db") as database:
        (body,) = database.execute("SELECT run_body FROM runs").fetchone()
        assert MARK in json.dumps(json.loads(body)["run_config"])
        assert list(found("tags", str(database.execute("SELECT * FROM run_tags").fetchall()))) == []


class Rude(BaseHTTPRequestHandler):
    """An S3 server that refuses everything, quoting the signature as S3 does, and in hostile words."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        said = (
            f"<Error><Code>SignatureDoesNotMatch</Code><Message>{HOSTILE}</Message>"
            f"<AWSAccessKeyId>{self.headers['Authorization']}</AWSAccessKeyId>"
            f"<StringToSign>AWS4-HMAC-SHA256 {MARK}</StringToSign><SignatureProvided>{MARK}</SignatureProvided></Error>"
        ).encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_HEAD = do_DELETE = do_PUT

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def rude() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Rude)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def assert_harmless(shown: str) -> None:
    """Nothing a terminal obeys, and no line broken by what was quoted."""
    assert not [char for char in shown if not (char.isprintable() or char == "\n")]


def test_s3_credentials_show_nowhere(
    imgrelay: Command, origin: Origin, seaweed: SeaweedFS, rude: str, home: Path, tmp_path: Path
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
        "rude": {"AWS_ENDPOINT_URL_S3": rude},
        "user info": {"AWS_ENDPOINT_URL_S3": f"http://{USER}@127.0.0.1:{nobody()}/?{SIGNED}"},
    }
    for what, changed in wrong.items():
        failed = imgrelay(*run, "--refresh", **{**environment, **changed})
        assert failed.code in (1, 2), what
        assert re.search("'s3://leaks/framed' does not take objects|AWS_ENDPOINT_URL_S3 .* belong in", failed.err), what
        assert in_output(failed, *secrets) == [], what
        assert_harmless(failed.out + failed.err)
    assert in_output(good, *secrets) == []
    assert in_home(home, *secrets) == []
    seaweed_client = seaweed.client()
    for item in seaweed_client.list_objects_v2(Bucket="leaks")["Contents"]:
        body = seaweed_client.get_object(Bucket="leaks", Key=item["Key"])["Body"].read().decode("latin-1")
        assert list(found(item["Key"], body, *secrets)) == [] or item["Key"].endswith(".jsonl")


@pytest.mark.parametrize(
    "endpoint",
    [f"http://{USER}@no host/", f"http://{USER}@h/", f"http://h/?{SIGNED}", f"ftp://{USER}@h/", f"{USER}@h"],
)
def test_an_endpoint_with_credentials_is_refused_before_its_client_can_quote_them(endpoint: str):
    with pytest.raises(RelayError, match="AWS_ENDPOINT_URL_S3 ") as caught:
        open_store("s3://bucket/x", S3Settings(endpoint_url=endpoint))
    assert f"pw-{MARK}" not in str(caught.value)
    assert SIGNED not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--manifest", f"https://{USER}@host/m.csv?{SIGNED}"],
        ["--manifest", f"s3://{USER}@bucket/m.csv"],
        ["--manifest", f"s3://bucket/m.csv?{SIGNED}"],
        ["--manifest", f"m-{HOSTILE.replace('/', '')}.csv"],
        ["--destination", f"s3://{USER}@bucket/x", "http://host/x.jpg"],
        ["--destination", f"https://{USER}@host/x?{SIGNED}", "http://host/x.jpg"],
        ["--template", f"https://{USER}@host/frame.png?{SIGNED}", "http://host/x.jpg"],
        ["--dataset", f"http://{USER}@host/?{SIGNED}", "http://host/x.jpg"],
        ["--dataset", HOSTILE, "http://host/x.jpg"],
    ],
)
def test_a_refused_argument_shows_no_secret(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], home: Path, tmp_path: Path
):
    assert refused(arguments, monkeypatch, capfd, home, tmp_path) != 0


@pytest.mark.parametrize(
    "text",
    [
        f"urls: ['http://{USER}@host/x?{SIGNED}', unclosed",
        f"urls: http://{USER}@host/x?{SIGNED}\n  bad: indent",
        f"urls: 'http://{USER}@host/x?{SIGNED}'",
        f"url_lines: ['http://{USER}@host/x?{SIGNED}']",
        f"urls: [{{url: 'http://{USER}@host/x?{SIGNED}'}}]",
        f"http://{USER}@host/x?{SIGNED}",
        f"- http://{USER}@host/x?{SIGNED}",
        f"'http://{USER}@host/x?{SIGNED}': yes\nurls: [http://host/x]",
        f"urls: [http://host/x]\noutput: {{background: 'http://{USER}@host/x?{SIGNED}'}}",
    ],
)
def test_a_broken_config_file_shows_no_secret(
    text: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], home: Path, tmp_path: Path
):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    assert refused(["--config", str(path)], monkeypatch, capfd, home, tmp_path) == 2


def refused(
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    home: Path,
    tmp_path: Path,
) -> int:
    monkeypatch.chdir(tmp_path)
    for name in ("IMGRELAY_TEMPLATES", "IMGRELAY_ARGUMENT_TEMPLATE", "IMGRELAY_DESTINATION", "IMGRELAY_ARGUMENT_PATHS"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    code = cli.main(["run", *arguments])
    shown = capfd.readouterr()
    assert shown.err.startswith("imgrelay: ")
    assert list(found("shown", shown.out + shown.err)) == []
    assert_harmless(shown.out + shown.err)
    return code


def test_a_refused_form_of_the_launchpad_shows_no_secret():
    from imgrelay_dagster.definitions import defs

    job = defs.resolve_job_def("relay")
    for form in (
        {"manifest": f"https://{USER}@host/m.csv?{SIGNED}"},
        {"urls": ["http://host/x"], "destination": f"s3://{USER}@bucket"},
        {"urls": ["http://host/x"], "dataset": f"http://{USER}@host/?{SIGNED}"},
    ):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - which one it is, is Dagster's affair
            dg.validate_run_config(job, form)
        error: BaseException | None = caught.value
        while error is not None:
            assert list(found("message", str(error))) == []
            error = error.__cause__


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"GET http://{USER}@h:9/a?{SIGNED} failed", "GET http://h:9/a failed"),
        (f"'http://{USER}@h/a?{SIGNED}', and", "'http://h/a', and"),
        (f"(https://h/it's?{SIGNED}).", "(https://h/it's)."),
        (f"PUT /bucket/key?{SIGNED}: 403", "PUT /bucket/key: 403"),
        (f"<Code>X</Code><StringToSign>{MARK}\n{MARK}</StringToSign><A>b</A>", "<Code>X</Code><StringToSign><A>b</A>"),
        (f"<AWSAccessKeyId>AKIA{MARK}", "<AWSAccessKeyId>"),
        ("s3://bucket/prefix does not exist; is it there?", "s3://bucket/prefix does not exist; is it there?"),
        ("a\x1b[31m\nb", "a�[31m�b"),
    ],
)
def test_messages_lose_what_is_secret_and_keep_the_rest(text: str, shown: str):
    assert redact_text(text) == shown
    assert EntryFailure(Reason.INTERNAL_ERROR, text).detail == shown
    assert str(RelayError(text)) == shown


@pytest.mark.parametrize(
    "url",
    [
        f"http:///{USER}@h/x",
        f"http:\\\\{USER}@h/x",
        f"http://{USER}/with/slashes@h/x",
        f"http:{USER}@h/x",
        f"//{USER}@h/x",
        f"/\\{USER}@h/x",
        f"http://[::1]:80{USER}@h/x",
    ],
)
def test_crooked_urls_are_shown_without_their_passwords(url: str):
    assert MARK not in redact(url)
    assert MARK not in redact_text(f"redirect to {url!r}")
    assert MARK not in refusal(lambda: parse(url))
    assert MARK not in refusal(lambda: follow(parse("http://h/"), url.replace("http", "ftp")))


def refusal(call: Callable[[], object]) -> str:
    """The detail of the failure that a call ends in; empty for what is sound by its letter."""
    try:
        call()
    except EntryFailure as failure:
        return failure.detail
    return ""


def test_hostile_text_breaks_neither_lines_nor_terminal(
    imgrelay: Command, hostile: HostileOrigin, home: Path, tmp_path: Path
):
    """URLs, keys, template names and server phrases full of what terminals, Markdown and JSON lines obey."""
    phrase = f"HTTP/1.1 404 {HOSTILE}".replace("\r\n", "").encode("utf-8") + b"\r\nContent-Length: 0\r\n\r\n"
    location = b"HTTP/1.1 302 x\r\nLocation: ftp://h/\x1b[31m|`<b>[red]\r\nContent-Length: 0\r\n\r\n"
    rows = [
        {"url": hostile.url(f"/raw?hex={phrase.hex()}")},
        {"url": hostile.url(f"/raw?hex={location.hex()}")},
        {"url": hostile.url("/ok.jpg?") + "[red]|`x`<script>\u202e"},
        {"url": hostile.url("/") + "[red]|`x`<script>.jpg"},
        {"url": "http://h/" + HOSTILE},
        {"url": hostile.url("/ok.jpg"), "key": HOSTILE},
        {"url": hostile.url("/ok.jpg"), "key": "a/[red]|`<b>\u202e.jpg"},
        {"url": hostile.url("/ok.jpg?n=2"), "key": "a/[red]|`<b>\u202e.jpg"},
        {"url": hostile.url("/ok.jpg"), "template": HOSTILE.replace("\r\n", "").replace("\x1b", "")},
        {"url": HOSTILE},
    ]
    manifest, out = tmp_path / "birds.jsonl", tmp_path / "out"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = write_config(tmp_path, urls_per_task=1, tolerated_failure_percentage=0)
    ran = imgrelay("run", "--config", config, "--manifest", manifest, "--destination", out)
    assert ran.code == 1
    assert_harmless(ran.out + ran.err)
    assert "[red]" not in ran.out
    (results,) = out.glob("_relay/birds/runs/*/results.jsonl")
    for path in (results, results.with_name("failed.jsonl")):
        lines = path.read_bytes().split(b"\n")
        assert lines.pop() == b""
        records = [json.loads(line) for line in lines]
        assert_harmless("".join(record["detail"] or "" for record in records))
    assert len(results.read_bytes().splitlines()) == len(rows)
    assert_harmless(results.with_name("report.html").read_text())
    (run_id,) = (path.name for path in results.parents[1].iterdir())
    with dg.DagsterInstance.from_config(str(home)) as instance:
        events = [event for event in instance.all_logs(run_id) if event.dagster_event]
    assert events
    for event in events:
        assert_harmless(event.user_message)
        assert re.fullmatch(r"[a-z_]+(\[\w+\])?", event.step_key or "plan")


def test_the_counts_shown_with_a_run_hold_no_text_from_outside():
    summary = Summary("r", "d", "failure", 2, 0, 0, 2, 0, {"timeout": 1, "bad_url": 1}, 0, 0, 1.0, 0.0)
    shown = {name: entry.value for name, entry in summary_metadata(summary, "/out").items()}
    texts = {name: value for name, value in shown.items() if isinstance(value, str)}
    assert texts.keys() == {"reasons", "results", "report", "failures"}
    assert not set(texts["reasons"]) - set("abcdefghijklmnopqrstuvwxyz_0123456789, ")


def test_whatever_the_console_is_told_stays_on_its_line(capsys: pytest.CaptureFixture[str]):
    console = Console(as_json=False)
    console.error(HOSTILE)
    console.note(HOSTILE)
    summary = Summary("r", "d", "failure", 2, 0, 0, 2, 0, {"timeout": 2}, 0, 0, 1.0, 0.0)
    console.summary(summary, f"/out/{HOSTILE}")
    shown = capsys.readouterr()
    assert_harmless(shown.out + shown.err)
    assert len(shown.err.splitlines()) == 2
    assert "[red]bold[/red]" in shown.err
    assert len(shown.out.splitlines()) == 11


def test_a_broken_form_is_refused_without_quoting_urls():
    with pytest.raises(RelayError) as caught:
        RelayConfig.checked({"urls": f"http://{USER}@host/x?{SIGNED}"})
    assert MARK not in str(caught.value)
