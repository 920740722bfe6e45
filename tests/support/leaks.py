"""Secrets for URLs, hostile text, and functions that find them in what imgrelay shows."""

import base64
import csv
import json
import re
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.conftest import Ran

Command = Callable[..., Ran]

MARK = "s3cr3t"
"""Part of every secret in these tests."""
USER = f"user:pw-{MARK}"
SIGNED = f"X-Amz-Credential=AKIA{MARK}&X-Amz-Signature=deadbeef{MARK}"
BASIC = base64.b64encode(USER.encode()).decode()
SHORT_LIMITS = {"attempts": 1, "connect_timeout": 3, "read_timeout": 2, "deadline": 4, "max_bytes": 400_000}

HOSTILE = '\x1b[31m\x1b]0;title\x07[red]bold[/red]\r\n| `x` | <script>alert(1)</script> \u202e\u2028\x9b31m"'
"""Terminal escapes, rich markup, line breaks, Markdown, HTML, and a change of the writing direction."""


def secret_url(url: str, query: str = SIGNED) -> str:
    """Add a password and a signature to a URL."""
    scheme, rest = url.split("://", 1)
    return f"{scheme}://{USER}@{rest}{'&' if '?' in rest else '?'}{query}"


def find_secrets(where: str, text: str, *secrets: str) -> Iterator[str]:
    """Yield each occurrence of a secret in a text, with the text around it."""
    for secret in (MARK, BASIC, *secrets):
        for match in re.finditer(re.escape(secret), text):
            yield f"{where}: ...{text[max(0, match.start() - 120) : match.end() + 20]!r}"


def assert_harmless(shown: str) -> None:
    """Check that a text has no characters except printable ones and line feeds."""
    assert not [char for char in shown if not (char.isprintable() or char == "\n")]


def unused_port() -> int:
    """Return a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def write_config(folder: Path, **form: Any) -> Path:
    """Write a run config with short download limits; return its path."""
    path = folder / "run.json"  # YAML is a superset of JSON
    path.write_text(json.dumps({"download": SHORT_LIMITS, "tolerated_failure_percentage": 100, **form}))
    return path


def leaks_in_output(ran: Ran, *secrets: str) -> list[str]:
    return [*find_secrets("stdout", ran.out, *secrets), *find_secrets("stderr", ran.err, *secrets)]


def read_rows(path: Path) -> Iterator[str]:
    """Yield every row of every table of an SQLite file. Its bytes cannot be searched, because long rows are split."""
    with sqlite3.connect(path) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in database.execute(f'SELECT * FROM "{table}"'):
                yield f"{table} " + " ".join(
                    value.decode("latin-1") if isinstance(value, bytes) else str(value) for value in row
                )


def leaks_in_home(home: Path, *secrets: str) -> list[str]:
    """Find secrets in the Dagster instance: runs, tags, events, step keys, logs, files."""
    leaks: list[str] = []
    databases = 0
    for path in sorted(home.rglob("*")):
        if not path.is_file():
            continue
        data = path.read_bytes()
        if data.startswith(b"SQLite format 3"):
            databases += 1
            for row in read_rows(path):
                leaks += find_secrets(path.name, row, *secrets)
        else:
            leaks += find_secrets(path.name, data.decode("latin-1"), *secrets)
    assert databases >= 2, "the instance stores its runs and events elsewhere, so this test checks nothing"
    return leaks


def leaks_in_destination(folder: Path, *secrets: str) -> list[str]:
    """Find secrets in results, receipts and images, except in the columns of the manifest (URL, key, template)."""
    leaks: list[str] = []
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".jsonl":
            for line in path.read_text().splitlines():
                record = json.loads(line)
                assert record.pop("url")
                record["key"] = record["template"] = None
                leaks += find_secrets(path.name, json.dumps(record), *secrets)
        elif path.suffix == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as table:
                for row in csv.DictReader(table):
                    leaks += find_secrets(path.name, json.dumps(row), *secrets)
        elif path.is_file():
            leaks += find_secrets(path.name, path.read_bytes().decode("latin-1"), *secrets)
        leaks += find_secrets("name", str(path), *secrets)
    return leaks
