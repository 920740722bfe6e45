"""The guard leaves a library alone whose source it does not know, and says so once."""

import logging
import subprocess
import sys

import pytest

from imgrelay_dagster.dagster_patches.event_polling import EVENT_POLLING
from imgrelay_dagster.dagster_patches.forkserver_start import FORKSERVER_START
from imgrelay_dagster.dagster_patches.guard import Patch, install, is_known, source_digest
from imgrelay_dagster.dagster_patches.opened_storage import OPENED_STORAGE
from imgrelay_dagster.dagster_patches.resolved_config import RESOLVED_CONFIG
from imgrelay_dagster.dagster_patches.sqlite_storage import SQLITE_STORAGE
from imgrelay_dagster.dagster_patches.step_context import STEP_CONTEXT
from imgrelay_dagster.dagster_patches.stop_event import STOP_EVENT

PATCHES = (
    EVENT_POLLING,
    FORKSERVER_START,
    OPENED_STORAGE,
    RESOLVED_CONFIG,
    SQLITE_STORAGE,
    STEP_CONTEXT,
    STOP_EVENT,
)
FUNCTION = "json:dumps"


def patch(known: str, applied: list[str], function: str = FUNCTION) -> Patch:
    return Patch("a test", "json 1.0", {function: frozenset({known})}, lambda: applied.append("yes"))


@pytest.mark.parametrize("each", PATCHES, ids=lambda each: each.name)
def test_the_installed_libraries_are_known(each: Patch):
    """Fails when a new library version comes in: read what changed, then add its digest."""
    assert is_known(each)


def test_a_known_source_is_patched_once():
    applied: list[str] = []
    known = patch(source_digest(FUNCTION), applied)
    assert install(known)
    assert install(known)
    assert applied == ["yes"]


@pytest.mark.parametrize("function", [FUNCTION, "json:not_there", "no_such_module:function", "math:sqrt"])
def test_an_unknown_source_is_left_alone_with_one_warning(function: str, caplog: pytest.LogCaptureFixture):
    applied: list[str] = []
    unknown = patch("0123456789abcdef", applied, function)
    with caplog.at_level(logging.WARNING):
        assert [install(unknown), install(unknown), is_known(unknown)] == [False] * 3
    assert applied == []
    (record,) = caplog.records
    assert function in record.getMessage()
    assert "json" in record.getMessage()


def test_one_unknown_source_of_several_is_enough():
    applied: list[str] = []
    mixed = Patch(
        "a test",
        "json 1.0",
        {FUNCTION: frozenset({source_digest(FUNCTION)}), "json:loads": frozenset({"0123456789abcdef"})},
        lambda: applied.append("yes"),
    )
    assert not install(mixed)
    assert applied == []


def test_the_digest_of_a_function_is_printed():
    command = [sys.executable, "-m", "imgrelay_dagster.dagster_patches.guard", FUNCTION]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == source_digest(FUNCTION)
    assert len(printed.strip()) == 16
