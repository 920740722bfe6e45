"""img2dataset, in an environment of its own: its versions of some libraries are not those of imgrelay."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.rivals.missing import MissingContenderError

REQUIREMENTS = ("img2dataset==1.47.0", "opencv-python-headless==4.14.0.94", "numpy==2.4.6", "pillow==12.3.0")
ENVIRONMENT = {"NO_ALBUMENTATIONS_UPDATE": "1", "NO_PROXY": "*"}
"""Variables without which it asks a server for a newer version of a library, and a proxy for the pictures."""

_WORKER = Path(__file__).with_name("img2dataset_worker.py")


def command(folder: Path, manifest: Path, out: Path, *, entries: int, processes: int, downloads: int) -> list[str]:
    """Return the command line that stores the pictures of a manifest in folder `out`.

    Args:
        folder: where the environment is, or is installed at first use.
        downloads: concurrent downloads of all processes together.

    Raises:
        MissingContenderError: the environment cannot be installed.
    """
    python = _install(folder / "img2dataset")
    counts = (entries, processes, max(1, downloads // processes))
    return [str(python), str(_WORKER), str(manifest), str(out), *map(str, counts)]


def _install(folder: Path) -> Path:
    python, installed = folder / "bin" / "python", folder / "installed.txt"
    wanted = "\n".join(REQUIREMENTS)
    if not (installed.exists() and installed.read_text() == wanted):
        print(f"installing {REQUIREMENTS[0]} in {folder}", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            raise MissingContenderError(f"pip cannot install {REQUIREMENTS[0]} in {folder}: {done.stderr.strip()}")
        installed.write_text(wanted)
    return python
