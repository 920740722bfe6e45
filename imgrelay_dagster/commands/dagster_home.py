"""Chooses the folder of the Dagster instance for runs from the command line."""

import os
from pathlib import Path

from imgrelay_dagster.relay.errors import RelayError

INSTANCE = """\
# Written by imgrelay for runs from the command line. You may edit it.
telemetry:
  enabled: false
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
"""


def set_up_dagster_home() -> Path:
    """Create the instance's folder if necessary, set `DAGSTER_HOME` to it and return it.

    If `DAGSTER_HOME` is not set, it is the working folder if that holds a `dagster.yaml`, otherwise `~/.imgrelay`.

    Raises:
        RelayError: the folder cannot be created or written.
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
            f"no Dagster instance can be kept in {str(home)!r}: {error.strerror}; set DAGSTER_HOME to a writable folder"
        ) from error
    os.environ["DAGSTER_HOME"] = str(home)
    return home
