"""The signals that end a run: Ctrl-C, SIGTERM, and the SIGHUP of a terminal that is closed.

The first one ends the run in order. A second Ctrl-C or SIGTERM ends it at once.
"""

import signal
import threading
import time
from collections.abc import Callable
from socket import socketpair
from types import FrameType, TracebackType
from typing import Self

ONE_PRESS = 0.2
"""Seconds in which further signals belong to the first: a shell or a wrapper sends on what the terminal sent too."""


class ShutdownSignals:
    """Hears the signals from here to the end of the `with` block, whatever the main thread is busy with.

    Dagster sets its own handlers while it executes a run, and import or a store call may keep the main thread from
    running any handler for seconds. The wake-up descriptor, read by a thread of its own, hears every signal.

    Attributes:
        on_first, on_second: called once each, from that thread.
    """

    def __init__(self) -> None:
        self.on_first: Callable[[], None] = lambda: None
        self.on_second: Callable[[], None] = lambda: None
        self._heard = threading.Event()
        self._raising = True
        self._breaking = False

    @property
    def heard(self) -> bool:
        """Whether a signal has come in."""
        return self._heard.is_set()

    def suppress_interrupts(self) -> None:
        """From now on a signal no longer raises in the main thread: what is left to do is done whole."""
        self._raising = False

    def interrupt_main_thread(self) -> None:
        """Raise KeyboardInterrupt in the main thread, whose handlers may be Dagster's, and which may hang in a wait."""
        self._breaking = True
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def __enter__(self) -> Self:
        self._ours, self._wakeup = socketpair()
        self._wakeup.setblocking(False)
        wanted = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        # What is ignored stays so: nohup, or a job that a script put into the background.
        self._saved = {number: handler for number, handler in wanted.items() if handler is not signal.SIG_IGN}
        for number in self._saved:
            signal.signal(number, self._handle)
        self._usr1 = signal.signal(signal.SIGUSR1, self._break)
        self._previous = signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._listen, name="signals", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.suppress_interrupts()
        signal.set_wakeup_fd(self._previous)
        signal.signal(signal.SIGUSR1, self._usr1)
        # Once cancelled, a further signal must not cut off the little that is left, nor change the exit code.
        for number, handler in self._saved.items():
            signal.signal(number, signal.SIG_IGN if self.heard else handler)
        self._wakeup.close()  # which ends the thread

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """End what the main thread does, as Ctrl-C would at this moment. Stays in place to the very end."""
        interrupt = signal.getsignal(signal.SIGINT)
        if number != signal.SIGINT and callable(interrupt) and interrupt != self._handle:
            interrupt(number, frame)
        elif self._raising:
            raise KeyboardInterrupt

    def _break(self, _number: int, _frame: FrameType | None) -> None:
        if self._breaking and self._raising:
            raise KeyboardInterrupt

    def _listen(self) -> None:
        first: float | None = None
        with self._ours:
            while numbers := self._ours.recv(64):
                pressed = set(numbers) & set(self._saved)
                if pressed and first is None:
                    first = time.monotonic()
                    self._heard.set()
                    self.on_first()
                elif pressed - {signal.SIGHUP} and first is not None and time.monotonic() - first > ONE_PRESS:
                    self.on_second()
                    return
