"""One very large image at a time on a host."""

import tempfile
import threading
from pathlib import Path

import pytest

from imgrelay_dagster.relay.errors import Stopped
from imgrelay_dagster.relay.imaging.host_turn import host_turn


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_a_second_one_waits_until_the_first_has_left() -> None:
    order: list[str] = []

    def second() -> None:
        with host_turn(threading.Event()):
            order.append("second")

    with host_turn(threading.Event()):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.3)
        order.append("first leaves")
    thread.join(10)
    assert order == ["first leaves", "second"]


def test_one_that_waits_can_be_stopped() -> None:
    stop = threading.Event()
    stop.set()
    with host_turn(threading.Event()), pytest.raises(Stopped), host_turn(stop):
        pass


def test_without_a_place_for_the_lock_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with host_turn(threading.Event()), host_turn(threading.Event()):
        assert not (tmp_path / "gone").exists()
