"""`imgrelay dev` becomes `dagster dev`."""

import argparse
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from imgrelay_dagster.commands.dev import dev


def test_dagster_can_be_ended_when_a_script_starts_it_in_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell has it ignore SIGINT, and Dagster treats SIGTERM as it treats SIGINT."""
    started: list[tuple[list[str], Any]] = []
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setattr(os, "execv", lambda _, command: started.append((command, signal.getsignal(signal.SIGINT))))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        dev(argparse.Namespace(host="127.0.0.1", port=3000))
    finally:
        signal.signal(signal.SIGINT, before)
    ((command, handler),) = started
    assert "dagster" in command
    assert handler == signal.SIG_DFL
