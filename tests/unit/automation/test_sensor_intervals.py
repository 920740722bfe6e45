"""How often sensors look."""

import pytest

from imgrelay_dagster.automation.sensor_intervals import DEFAULTS, interval
from imgrelay_dagster.relay.errors import RelayError


@pytest.mark.parametrize("variable", DEFAULTS)
def test_a_variable_sets_an_interval(variable: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(variable, "")
    assert interval(variable) == DEFAULTS[variable]
    monkeypatch.setenv(variable, "7")
    assert interval(variable) == 7


@pytest.mark.parametrize("given", ["soon", "0", "-5", "1.5"])
def test_an_interval_that_is_none_is_refused(given: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IMGRELAY_INBOX_INTERVAL", given)
    with pytest.raises(RelayError, match=f"IMGRELAY_INBOX_INTERVAL '{given}' is no number of seconds; write a whole"):
        interval("IMGRELAY_INBOX_INTERVAL")
