"""Fuzzes for a while, tells what it saw, and exits 1 at the first finding.

`python -m tests.fuzz --seconds 60 --seed 1`; one input again: `python -m tests.fuzz --seed 1 --only decode 4711`.
"""

import argparse
import faulthandler
import mmap
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.fuzz.mutations import mutated
from tests.fuzz.targets import TARGETS

MOST_CPU_TIME = 5.0
"""Seconds of this process's CPU time for one input. Decoder processes have limits of their own."""

MOST_TIME = 120.0
"""Seconds for one input: only a hang takes as long, even if the machine has much other work."""

MOST_MEMORY = 200_000
"""Kilobytes that the process may grow by over one input: a picture of two million pixels and its conversions."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", choices=TARGETS, help="fuzz only this one")
    parser.add_argument("--only", nargs=2, metavar=("TARGET", "NUMBER"), help="run this one input")
    parser.add_argument("--within", type=Path, help=argparse.SUPPRESS)  # the child's note of what it is at
    options = parser.parse_args()
    if options.only:
        target, number = options.only
        print(_one(target, options.seed, int(number)))
        return 0
    if options.within:
        _work(options.seconds, options.seed, options.within, options.target)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder) / "at"
        note.write_bytes(bytes(64))
        command = [sys.executable, "-m", "tests.fuzz", "--seconds", str(options.seconds), "--seed", str(options.seed)]
        if options.target:
            command += ["--target", options.target]
        child = subprocess.run([*command, "--within", note], check=False)
        if child.returncode == 0:
            return 0
        at = note.read_bytes().rstrip(b"\0").decode()
        print(f"finding (exit {child.returncode}): python -m tests.fuzz --seed {options.seed} --only {at}")
        return 1


def _work(seconds: float, seed: int, note: Path, only: str | None) -> None:
    faulthandler.enable()
    with note.open("r+b") as file, mmap.mmap(file.fileno(), 64) as at:
        shared = {name: target for name, target in TARGETS.items() if target.share}
        for name, target in (shared if only is None else {only: replace(TARGETS[only], share=1.0)}).items():
            target.corpus()
            seen: Counter[str] = Counter()
            slowest = costliest = grown = 0.0
            until = time.monotonic() + seconds * target.share
            while time.monotonic() < until:
                number = seen.total()
                at[:] = f"{name} {number}".encode().ljust(64, b"\0")
                before, began, used = _memory(reset=True), time.monotonic(), time.process_time()
                with _time_limits():
                    seen[_one(name, seed, number)] += 1
                slowest = max(slowest, time.monotonic() - began)
                costliest = max(costliest, time.process_time() - used)
                grown = max(grown, _memory() - before)
                assert grown <= MOST_MEMORY, f"{grown:,.0f} kB over one input"
            counts = ", ".join(f"{count:,} {what}" for what, count in seen.most_common(8))
            cost = f"slowest {slowest:.2f} s, most CPU time {costliest:.2f} s, most memory {grown / 1000:.0f} MB"
            print(f"{name}: {seen.total():,} inputs, {cost}: {counts}")


@contextmanager
def _time_limits() -> Iterator[None]:
    """Print the stack and end the process if the block takes too much time, or too much CPU time."""
    faulthandler.dump_traceback_later(MOST_TIME, exit=True)
    faulthandler.register(signal.SIGPROF, chain=True)  # then the signal's default action ends the process
    signal.setitimer(signal.ITIMER_PROF, MOST_CPU_TIME)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()


def _one(name: str, seed: int, number: int) -> str:
    chance = random.Random(f"{seed} {name} {number}")
    target = TARGETS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return target.run(mutated(target.corpus(), chance))


def _memory(*, reset: bool = False) -> int:
    """The process's memory in kB: what it has now when its peak is `reset`, else the peak since."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    sys.exit(main())
