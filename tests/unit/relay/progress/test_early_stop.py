"""When a run ends early."""

import pytest

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.progress.early_stop import stop_if_failing
from imgrelay_dagster.relay.progress.notes import RunProgress
from imgrelay_dagster.relay.settings import StopWhenFailed


@pytest.mark.parametrize(("downloaded", "failed"), [(0, 499), (250, 250), (10_000, 9_999)])
def test_a_run_goes_on_below_the_limits(downloaded: int, failed: int) -> None:
    stop_if_failing(RunProgress(20_000, {Stage.DOWNLOAD: downloaded}, {"timeout": failed}), StopWhenFailed(50, 500))


def test_a_run_that_goes_wrong_says_why() -> None:
    progress = RunProgress(20_000, {Stage.DOWNLOAD: 188}, {"http_status": 300, "timeout": 12})
    with pytest.raises(RelayError) as caught:
        stop_if_failing(progress, StopWhenFailed(50, 500))
    assert "312 of the first 500 entries failed" in str(caught.value)
    assert "http_status" in str(caught.value)
