"""Print the peak memory of a whole run in which costly pictures stand among good ones.

python -m benchmarks.memory.run [--costly 200] [--good 400] [--pixels 50000000]

The pictures come from a server in this process. The peak is that of all processes of the run.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks import meter

COSTLY = ("jpeg-progressive", "webp-alpha", "webp-lossless", "png-16", "gif-animation", "jpeg")
MIB = 1 << 20


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    """Run it once."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory.run")
    parser.add_argument("--costly", type=int, default=200)
    parser.add_argument("--good", type=int, default=400)
    parser.add_argument("--pixels", type=int, default=50_000_000)
    parser.add_argument("--folder", type=Path, help="keeps the pictures for the next time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder, home = options.folder or Path(scratch) / "pictures", Path(scratch) / "home"
        folder.mkdir(exist_ok=True)
        home.mkdir()
        names = [_made(folder, name, options.pixels) for name in COSTLY]
        good = _made(folder, "jpeg", 500_000)
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        lines = [f"{address}/{names[number % len(names)]}?{number}" for number in range(options.costly)]
        lines += [f"{address}/{good}?{number}" for number in range(options.good)]
        random.Random(1).shuffle(lines)
        manifest = Path(scratch) / "manifest.txt"
        manifest.write_text("\n".join(lines))
        (home / "dagster.yaml").write_bytes((Path(__file__).parents[2] / "dagster.yaml").read_bytes())
        command = [Path(sys.executable).parent / "imgrelay", "run", "--manifest", manifest, "--json"]
        command += ["--destination", Path(scratch) / "out", "--tolerated-failure-percentage", "100"]
        environment = {**os.environ, "DAGSTER_HOME": str(home), "IMGRELAY_ALLOWED_HOSTS": "127.0.0.1"}
        usage = meter.run(command, environment=environment, folder=Path(scratch))
        summary = json.loads(usage.out.splitlines()[-1]) if usage.out else {}
        stored = Counter(
            "good" if f"/{good}?" in result["url"] else "costly"
            for path in (Path(scratch) / "out").rglob("results.jsonl")
            for result in map(json.loads, path.read_text().splitlines())
            if result["outcome"] == "uploaded"
        )
        print(f"exit {usage.code}, {usage.wall:.0f} s, peak {usage.peak_memory / MIB:.0f} MiB, stored {dict(stored)}")
        print(summary or usage.err[-2000:])


def _made(folder: Path, name: str, pixels: int) -> str:
    """The name of a file with this picture, which is made if it is not there."""
    path = folder / f"{name}-{pixels}"
    if not path.exists():
        subprocess.run([sys.executable, "-m", "benchmarks.memory.pictures", name, str(pixels), path], check=True)
    return path.name


if __name__ == "__main__":
    main()
