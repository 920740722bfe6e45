"""`python -m imgrelay_dagster.demo.dev`: starts the Dagster UI and the demo origin, with a sample manifest."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from imgrelay_dagster.commands.dev import dagster_command, heed_interrupts
from imgrelay_dagster.demo import child
from imgrelay_dagster.demo.manifests import SAMPLE_PORT
from imgrelay_dagster.demo.origin import Origin

STOP_LIMIT = 20.0
"""Seconds that `dagster dev` gets to stop its servers."""


def main() -> int:
    """Serve until Ctrl-C or until `dagster dev` ends, and return its exit code."""
    environment = {
        "DAGSTER_HOME": str(Path.cwd()),
        "IMGRELAY_ALLOWED_HOSTS": "127.0.0.1",
        "IMGRELAY_SAMPLE_MANIFEST": "examples/demo.csv",
        **os.environ,
    }
    signals = {signal.SIGINT, signal.SIGTERM, signal.SIGCHLD}
    with Origin(SAMPLE_PORT) as origin:
        command = dagster_command("dev", *sys.argv[1:])
        heed_interrupts()
        served = child.start(command, environment=environment, death_signal=signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # only now, because a child would inherit the mask
        print(
            f"demo origin at {origin.url('/')}; `dagster dev` prints the address of the UI; Ctrl-C stops both",
            flush=True,
        )
        signal.sigwait(signals)
        child.stop(served, seconds=STOP_LIMIT)
        with suppress(ProcessLookupError):  # all processes have ended; otherwise its code server may still run
            os.killpg(served.pid, signal.SIGKILL)
    return served.returncode if served.returncode > 0 else 0


if __name__ == "__main__":
    sys.exit(main())
