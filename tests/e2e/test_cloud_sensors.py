"""Inbox and late manifests in Google's and Azure's stores. tests/stress has the stores the other way round."""

from pathlib import Path

import pytest

from imgrelay_dagster.demo.origin import Origin
from tests.support.cloud_sensors import check_landing

pytestmark = [pytest.mark.dagster_servers, pytest.mark.timeout(600)]


def test_inbox_at_google_and_late_manifests_at_azure(origin: Origin, tmp_path: Path) -> None:
    check_landing("gs", "az", origin, tmp_path)
