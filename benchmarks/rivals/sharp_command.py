"""A program with sharp (libvips) for Node.js, which is installed for the tests in `.npm`."""

import shutil
from pathlib import Path

from benchmarks.rivals.missing import MissingContenderError

_PROGRAM = Path(__file__).with_name("sharp_worker.js")
_MODULES = Path(__file__).parents[2] / ".npm" / "node_modules"

ENVIRONMENT = {"NODE_PATH": str(_MODULES)}


def command(manifest: Path, out: Path, *, frame: Path, processes: int, downloads: int) -> list[str]:
    """Return the command line that composes the pictures of a manifest into folder `out`.

    Args:
        processes: pictures that are composed at the same time, each by one thread.

    Raises:
        MissingContenderError: Node.js or sharp is not installed.
    """
    node = shutil.which("node")
    if node is None:
        raise MissingContenderError("Node.js is not installed; on Debian: apt-get install nodejs npm")
    if not (_MODULES / "sharp").is_dir():
        install = "cp tests/support/npm/package*.json .npm/ && npm --prefix .npm ci"
        raise MissingContenderError(f"sharp is not installed; mkdir -p .npm && {install}")
    return [node, *map(str, (_PROGRAM, manifest, out, frame, processes, downloads))]
