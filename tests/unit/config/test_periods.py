"""Periods of time as people write them."""

import pytest

from imgrelay_dagster.config.periods import parse_days
from imgrelay_dagster.config.run_config import RelayConfig
from imgrelay_dagster.relay.errors import RelayError


def test_periods_are_in_days() -> None:
    assert [parse_days(text) for text in ("30d", "12h", "2w", "1.5 d", "0D")] == [30, 0.5, 14, 1.5, 0]


@pytest.mark.parametrize("text", ["30", "d", "-1d", "1m", "1y", "1d2h", "nan d", "1e3d", "١d"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(RelayError, match=r"recheck.*is not a number of hours, days or weeks such as 12h, 30d or 4w"):
        RelayConfig.checked({"urls": ["https://h/a.jpg"], "recheck": text})
    assert RelayConfig.checked({"urls": ["https://h/a.jpg"], "recheck": ""}).settings().recheck is None
