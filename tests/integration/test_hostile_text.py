"""Hostile text in URLs, keys and responses breaks neither lines nor the terminal."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from imgrelay_dagster.commands.console import Console
from imgrelay_dagster.demo.pictures import picture
from imgrelay_dagster.ops.metadata import summary_metadata
from imgrelay_dagster.relay.records.summary import Summary
from tests.support.hostile_origin import HostileOrigin
from tests.support.leaks import HOSTILE, Command, assert_harmless, write_config


@pytest.fixture
def hostile() -> Iterator[HostileOrigin]:
    with HostileOrigin({"/ok.jpg": (picture("jpeg/tiny-sunset.jpg").data, "image/jpeg")}) as server:
        yield server


def test_the_output_of_a_run_with_hostile_text_is_harmless(
    imgrelay: Command, hostile: HostileOrigin, home: Path, tmp_path: Path
):
    """URLs, keys, template names and server phrases contain control sequences of terminals, Markdown and JSON lines."""
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


def test_the_metadata_of_a_run_contains_no_external_text():
    summary = Summary("r", "d", "failure", 2, 0, 0, 2, 0, {"timeout": 1, "bad_url": 1}, 0, 0, 1.0, 0.0)
    shown = {name: entry.value for name, entry in summary_metadata(summary, "/out").items()}
    texts = {name: value for name, value in shown.items() if isinstance(value, str)}
    assert texts.keys() == {"reasons", "results", "report", "failures"}
    assert not set(texts["reasons"]) - set("abcdefghijklmnopqrstuvwxyz_0123456789, ")


def test_each_console_message_stays_on_its_line(capsys: pytest.CaptureFixture[str]):
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
