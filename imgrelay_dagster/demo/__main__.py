"""The first run: `python -m imgrelay_dagster.demo [--s3]` relays the demo pictures from a small origin.

They go into the folder `out`, or with `--s3` into a real S3 server that lasts as long as the demo.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from imgrelay_dagster.demo import child, manifests
from imgrelay_dagster.demo.manifests import SAMPLE_PORT
from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.demo.outcome import describe_bucket, describe_folder
from imgrelay_dagster.demo.pictures import pictures
from imgrelay_dagster.demo.ports import HOST
from imgrelay_dagster.demo.seaweed import SeaweedFS

BUCKET, PREFIX, OUT = "images", "demo", Path("out")
TOLERATED = 50
CANCEL_SECONDS = 30.0


def main() -> int:
    """Runs the demo and returns the exit code of the `imgrelay` command."""
    parser = argparse.ArgumentParser(
        prog="python -m imgrelay_dagster.demo", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--s3", action="store_true", help="store in an S3 server (SeaweedFS) started for the demo")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        return _demo(s3=options.s3)
    except KeyboardInterrupt:
        return 130
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1


def _demo(*, s3: bool) -> int:
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imgrelay-demo-")))
        origin = stack.enter_context(_origin())
        threading.Thread(target=lambda: list(pictures()), name="draw ahead", daemon=True).start()
        urls = origin.manifest()
        manifest = scratch / "demo.txt"
        manifests.write(manifest, urls)
        store = stack.enter_context(SeaweedFS(scratch / "s3")) if s3 else None
        if store:
            store.create_bucket(BUCKET)
        destination = f"s3://{BUCKET}/{PREFIX}" if s3 else str(OUT)
        bad = sum(reason is not None for reason in manifests.expected(urls).values())
        print(
            f"Relaying {len(urls)} URLs of {origin.url('/')} to {destination}; {bad} are bad on purpose.",
            flush=True,
        )
        code = _run(manifest, destination, _environment(scratch, store))
        if code != 130:
            print(describe_bucket(store.client(), BUCKET, PREFIX) if store else describe_folder(OUT))
        return code


def _origin() -> Origin:
    """The origin on its usual port, so that a second demo finds its URLs done; else on a free one."""
    origin = Origin(SAMPLE_PORT)
    try:
        origin.start()
    except OSError:
        origin = Origin()
    return origin


def _environment(scratch: Path, store: SeaweedFS | None) -> dict[str, str]:
    root = Path(__file__).parents[2]
    home = root if (root / "dagster.yaml").exists() else scratch / "dagster"
    home.mkdir(exist_ok=True)
    # The user's own AWS settings, a session token say, would spoil the ones of the demo's server.
    ours = {name: value for name, value in os.environ.items() if not (store and name.startswith("AWS_"))}
    access = store.environment() if store else {}
    return {"DAGSTER_HOME": str(home), **ours, "IMGRELAY_ALLOWED_HOSTS": HOST, "NO_PROXY": HOST, **access}


def _run(manifest: Path, destination: str, environment: dict[str, str]) -> int:
    """Runs `imgrelay run`; Ctrl-C and SIGTERM reach it as one SIGINT, and it gets time to stop cleanly."""
    command: list[str | Path] = [sys.executable, "-m", "imgrelay_dagster.cli", "run", "--manifest", manifest]
    command += ["--destination", destination, "--tolerated-failure-percentage", str(TOLERATED)]
    process = child.start(command, environment=environment, death_signal=signal.SIGINT)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(CANCEL_SECONDS)
        return 130
    finally:
        # Its session holds whatever it started; nothing is left there after a clean end.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
