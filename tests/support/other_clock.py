"""A clock that is wrong, for one process and its children.

`install(folder, ahead)` writes a `sitecustomize.py`, which every Python process reads that has the folder in
`PYTHONPATH`. It changes the time of the day, and leaves monotonic clocks alone, as a wrongly set clock does.
"""

from pathlib import Path

_SITECUSTOMIZE = """
import time

def shifted(read, ahead):
    return lambda: read() + ahead

time.time = shifted(time.time, {ahead})
time.time_ns = shifted(time.time_ns, {ahead} * 1_000_000_000)
"""


def install(folder: Path, ahead: int) -> dict[str, str]:
    """Write the module into a folder of its own; return the environment of a process whose clock is so many seconds
    ahead."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE.format(ahead=ahead))
    return {"PYTHONPATH": str(folder)}
