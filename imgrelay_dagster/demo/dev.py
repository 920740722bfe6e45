"""`python -m imgrelay_dagster.demo.dev`: the Dagster UI, the demo origin, and its manifest ready to launch."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from imgrelay_dagster.demo import child
from imgrelay_dagster.demo.manifests import SAMPLE_PORT
from imgrelay_dagster.demo.origin import Origin

STOP_LIMIT = 20.0
"""Seconds that `dagster dev` is given to stop its servers."""


def main() -> int:
    """Serve until Ctrl-C, or until `dagster dev` ends; return its exit code."""
    environment = {
        "DAGSTER_HOME": str(Path.cwd()),
        "IMGRELAY_ALLOWED_HOSTS": "127.0.0.1",
        "IMGRELAY_SAMPLE_MANIFEST": "examples/demo.csv",
        **os.environ,
    }
    signals = {signal.SIGINT, signal.SIGTERM, signal.SIGCHLD}
    with Origin(SAMPLE_PORT) as origin:
        dagster = Path(sys.executable).parent / "dagster"
        served = child.start([dagster, "dev", *sys.argv[1:]], environment=environment, death_signal=signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # not before: a child inherits it
        print(f"demo origin at {origin.url('/')}; the UI will say where it is; Ctrl-C stops both", flush=True)
        signal.sigwait(signals)
        child.stop(served, seconds=STOP_LIMIT)
        with suppress(ProcessLookupError):  # its code server may be left over
            os.killpg(served.pid, signal.SIGKILL)
    return served.returncode if served.returncode > 0 else 0


if __name__ == "__main__":
    sys.exit(main())
