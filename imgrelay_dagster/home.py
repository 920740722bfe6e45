"""Where the Dagster instance of the command line lies."""

import os
from pathlib import Path

INSTANCE = """\
# Written by imgrelay for runs from the command line; yours to change.
telemetry:
  enabled: false
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
"""


def settle_dagster_home() -> Path:
    """Set `DAGSTER_HOME` where it is not: this folder when it holds a `dagster.yaml`, else `~/.imgrelay`."""
    given = os.environ.get("DAGSTER_HOME")
    if given:
        home = Path(given).expanduser().resolve()
    elif Path("dagster.yaml").is_file():
        home = Path.cwd()
    else:
        home = Path.home() / ".imgrelay"
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        (home / "dagster.yaml").write_text(INSTANCE)
    os.environ["DAGSTER_HOME"] = str(home)
    return home
