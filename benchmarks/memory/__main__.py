"""Print the memory that a step takes at most for the costliest picture of each format.

python -m benchmarks.memory [--pixels 50000000] [--format jpeg] [--only webp-alpha png-16]

The peak is that of the step's process and of its decoder process together, sampled a hundred times a second, with
shared pages counted once (PSS).
"""

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.memory.pictures import PICTURES

INTERVAL = 0.01
MIB = 1 << 20


def main() -> None:
    """Measure each picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory")
    parser.add_argument("--pixels", type=int, default=50_000_000, help="download.max_pixels, and those of a picture")
    parser.add_argument("--format", default="jpeg", help="of the output")
    parser.add_argument("--folder", type=Path, help="keeps the pictures for the next time")
    parser.add_argument("--only", nargs="+", choices=PICTURES, default=list(PICTURES))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.only:
            path = (options.folder or Path(scratch)) / f"{name}-{options.pixels}"
            if not path.exists():
                command = [sys.executable, "-m", "benchmarks.memory.pictures", name, str(options.pixels), str(path)]
                subprocess.run(command, check=True)
            before, peak, seconds, told = measure(options.pixels, options.format, [path])
            size = path.stat().st_size / MIB
            print(
                f"{name:16} {peak / MIB:5.0f} MiB, of them {before / MIB:3.0f} before; "
                f"{seconds:4.1f} s; a file of {size:.1f} MiB; {told}",
                flush=True,
            )
            if options.folder is None:
                path.unlink()


def measure(pixels: int, written: str, pictures: list[Path]) -> tuple[int, int, float, str]:
    """Compose pictures in a process; return its memory before, its peak, both in bytes, seconds and what it printed."""
    command = [sys.executable, "-m", "benchmarks.memory.worker", str(pixels), written, *map(str, pictures)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        before = peak = memory_of(process.pid)
        started = time.monotonic()
        process.stdin.write("\n")
        process.stdin.close()
        while process.poll() is None:
            peak = max(peak, memory_of(process.pid))
            time.sleep(INTERVAL)
        if process.returncode:
            raise SystemExit(f"{command} failed with exit code {process.returncode}")
        return before, peak, time.monotonic() - started, "; ".join(process.stdout.read().splitlines())


def memory_of(pid: int) -> int:
    """Bytes of a process and its children."""
    return sum(map(_memory, (pid, *_children(pid))))


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def _memory(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    main()
