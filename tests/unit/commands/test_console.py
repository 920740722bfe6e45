"""The progress of a run on the terminal."""

import time

import pytest

from imgrelay_dagster.commands import console as consoles
from imgrelay_dagster.commands.console import Console
from imgrelay_dagster.relay.progress.notes import RunProgress


class DatabaseGoneError(Exception):
    """An error of a library that the console does not know."""


def test_progress_goes_on_after_a_failed_reading(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(consoles, "ANNOUNCE_INTERVAL", 0.01)
    readings = 0

    def read() -> RunProgress:
        nonlocal readings
        readings += 1
        if readings < 3:
            raise DatabaseGoneError
        return RunProgress(entries=40)

    console = Console(as_json=False)
    console.follow(read)
    with console.progress():
        deadline = time.monotonic() + 30
        while readings < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert readings >= 4
    assert "0 of 40 done" in capsys.readouterr().err
