"""A small image origin on the loopback address: the demo pictures, and URLs with faults.

    with Origin() as origin:
        origin.manifest()

`python -m imgrelay_dagster.demo.origin --port 8790` serves until it is interrupted.
"""

import argparse
import itertools
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Self

from imgrelay_dagster.demo import manifests
from imgrelay_dagster.demo.pictures import names
from imgrelay_dagster.demo.ports import HOST
from imgrelay_dagster.demo.server import Server


class Origin:
    """The origin. It serves from threads of this process, during a `with` block or between `start()` and `stop()`.

    A query such as `?n=123` makes a different URL of the same picture. When the origin stops, it closes its
    connections.

    Args:
        port: 0 for any free port.

    Raises:
        OSError: the port is taken (raised by `start()`).
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.hits: Counter[str] = Counter()
        """Number of requests for each target (path and query)."""
        self._server: Server | None = None

    def start(self) -> None:
        """Bind the port and start serving."""
        if self._server:
            return
        self._server = Server((HOST, self.port), self.hits)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="origin", daemon=True).start()

    def stop(self) -> None:
        """Stop serving and close all connections. `start()` binds the same port again."""
        if self._server:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def url(self, path: str) -> str:
        """Return the URL of a path such as `/bad/gone.jpg`, or of a picture's name."""
        return f"http://{HOST}:{self.port}/{path.lstrip('/')}"

    def manifest(self) -> list[str]:
        """Return all URLs: every picture, every fault, and two URLs of servers that do not exist."""
        return manifests.all_urls(self.url("/"))

    def many(self, count: int) -> list[str]:
        """Return `count` different URLs of good pictures. They are the same at every call."""
        rounds = zip(itertools.cycle(names()), range(count), strict=False)
        return [self.url(f"{name}?n={n}") for name, n in rounds]


def main() -> None:
    """Serve until SIGINT or SIGTERM, or only write a manifest."""
    parser = argparse.ArgumentParser(
        prog="python -m imgrelay_dagster.demo.origin", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--port", type=int, default=manifests.SAMPLE_PORT)
    parser.add_argument("--manifest", type=Path, metavar="FILE", help="write all URLs to this file (.txt or .csv)")
    parser.add_argument("--sample", action="store_true", help="write a short manifest with one URL of each kind")
    parser.add_argument("--write-only", action="store_true", help="write the manifest and do not serve")
    options = parser.parse_args()
    if options.manifest:
        urls = (manifests.sample_urls if options.sample else manifests.all_urls)(f"http://{HOST}:{options.port}/")
        manifests.write_manifest(options.manifest, urls)
        print(f"{len(urls)} URLs written to {options.manifest}")
    if options.write_only:
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    with Origin(options.port) as origin:
        print(f"{len(names())} pictures at {origin.url('/')} (press Ctrl-C to stop)", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
