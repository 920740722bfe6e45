"""How long a process was ready to run and had no core: that is the machine's fault, and not that of its work."""

from contextlib import suppress
from pathlib import Path

_NANOSECONDS = 1e-9


class CoreWait:
    """The time in which the threads of a process waited for a core, read from time to time.

    The kernel forgets the time of a thread that ends. What was read before still counts.
    """

    def __init__(self, pid: int) -> None:
        self._threads = Path(f"/proc/{pid}/task")
        self._of_running: dict[str, float] = {}
        self._of_ended = 0.0

    def seconds(self) -> float | None:
        """The seconds of all threads that ran at this call or at an earlier one.

        None where the kernel does not tell: it does on Linux, in `/proc/PID/task/TID/schedstat` (proc(5)).
        """
        found: dict[str, float] = {}
        for file in self._threads.glob("*/schedstat"):
            with suppress(OSError, ValueError, IndexError):  # a thread that ends meanwhile
                found[file.parent.name] = int(file.read_text(encoding="ascii").split()[1]) * _NANOSECONDS
        if not found:
            return None
        # A thread with less time than before is another one, with the ID of one that has ended.
        self._of_ended += sum(time for thread, time in self._of_running.items() if found.get(thread, -1.0) < time)
        self._of_running = found
        return self._of_ended + sum(found.values())
