"""The demo: `python -m imgrelay_dagster.demo [--s3]` relays the demo pictures from a small origin.

The results are stored in the folder `out`, or with `--s3` in a real S3 server that runs only during the demo.
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
from imgrelay_dagster.demo.describe import describe_bucket, describe_folder
from imgrelay_dagster.demo.manifests import SAMPLE_PORT
from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.demo.pictures import pictures
from imgrelay_dagster.demo.ports import HOST
from imgrelay_dagster.demo.seaweed import SeaweedFS

BUCKET, PREFIX, OUT = "images", "demo", Path("out")
TOLERATED_FAILURE_PERCENTAGE = 50
CANCEL_LIMIT = 30.0
"""Seconds that the run gets to end after Ctrl-C."""


def main() -> int:
    """Run the demo and return the exit code of the `imgrelay` command."""
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
        origin = stack.enter_context(_start_origin())
        threading.Thread(target=lambda: list(pictures()), name="draw-pictures", daemon=True).start()
        urls = origin.manifest()
        manifest = scratch / "demo.txt"
        manifests.write_manifest(manifest, urls)
        store = stack.enter_context(SeaweedFS(scratch / "s3")) if s3 else None
        if store:
            store.create_bucket(BUCKET)
        destination = f"s3://{BUCKET}/{PREFIX}" if s3 else str(OUT)
        bad = sum(reason is not None for reason in manifests.expected(urls).values())
        print(
            f"Relaying {len(urls)} URLs of {origin.url('/')} to {destination}; {bad} of them are bad on purpose.",
            flush=True,
        )
        code = _run(manifest, destination, _environment(scratch, store))
        if code != 130:
            print(describe_bucket(store.client(), BUCKET, PREFIX) if store else describe_folder(OUT))
        return code


def _start_origin() -> Origin:
    """Start the origin on its default port, or on a free port if that one is taken.

    With the same port the URLs are the same, so a second demo finds them already done.
    """
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
    # The user's own AWS settings, such as a session token, would conflict with those of the demo's server.
    ours = {name: value for name, value in os.environ.items() if not (store and name.startswith("AWS_"))}
    access = store.environment() if store else {}
    return {"DAGSTER_HOME": str(home), **ours, "IMGRELAY_ALLOWED_HOSTS": HOST, "NO_PROXY": HOST, **access}


def _run(manifest: Path, destination: str, environment: dict[str, str]) -> int:
    """Run `imgrelay run`. Ctrl-C and SIGTERM are passed on as one SIGINT, and the run gets `CANCEL_LIMIT` to end."""
    command: list[str | Path] = [sys.executable, "-m", "imgrelay_dagster.cli", "run", "--manifest", manifest]
    command += ["--destination", destination, "--tolerated-failure-percentage", str(TOLERATED_FAILURE_PERCENTAGE)]
    process = child.start(command, environment=environment, death_signal=signal.SIGINT)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(CANCEL_LIMIT)
        return 130
    finally:
        # Kill what is left in its session. After a normal end that is nothing.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
