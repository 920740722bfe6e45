"""Where the Dagster instance of the command line lies."""

import os
from pathlib import Path

from imgrelay_dagster.relay.errors import RelayError

INSTANCE = """\
# Written by imgrelay for runs from the command line; yours to change.
telemetry:
  enabled: false
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
"""


def settle_dagster_home() -> Path:
    """Set `DAGSTER_HOME` where it is not: this folder when it holds a `dagster.yaml`, else `~/.imgrelay`.

    Raises:
        RelayError: the folder cannot be made.
    """
    given = os.environ.get("DAGSTER_HOME")
    if given:
        home = Path(given).expanduser().resolve()
    elif Path("dagster.yaml").is_file():
        home = Path.cwd()
    else:
        home = Path.home() / ".imgrelay"
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "dagster.yaml").exists():
            (home / "dagster.yaml").write_text(INSTANCE)
    except OSError as error:
        raise RelayError(
            f"no Dagster instance can be kept in {str(home)!r}: {error.strerror}; "
            "set DAGSTER_HOME to a folder that can be written"
        ) from error
    os.environ["DAGSTER_HOME"] = str(home)
    return home
