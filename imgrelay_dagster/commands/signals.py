"""Handles the signals that end a run: SIGINT (Ctrl-C), SIGTERM, and SIGHUP (the terminal was closed).

The first signal cancels the run, and its results are written. A second SIGINT or SIGTERM ends the process immediately.
"""

import signal
import threading
import time
from collections.abc import Callable
from socket import socketpair
from types import FrameType, TracebackType
from typing import Self

REPEAT_WINDOW = 0.2
"""Seconds in which further signals count as the first one: a shell may forward a signal that the terminal also sent."""


class ShutdownSignals:
    """Receives the signals during its `with` block, whatever the main thread is doing.

    Signal handlers alone are not enough: Dagster sets its own while it executes a run, and an import or a store call
    may keep the main thread from running any handler for seconds. So a thread reads the wake-up descriptor
    (`signal.set_wakeup_fd`), which gets every signal.

    Attributes:
        on_first, on_second: callbacks for the first and the second signal; that thread calls each once.
    """

    def __init__(self) -> None:
        self.on_first: Callable[[], None] = lambda: None
        self.on_second: Callable[[], None] = lambda: None
        self._heard = threading.Event()
        self._raising = True
        self._breaking = False

    @property
    def heard(self) -> bool:
        """Whether a signal has arrived."""
        return self._heard.is_set()

    def suppress_interrupts(self) -> None:
        """Stop raising KeyboardInterrupt in the main thread, so that what is left to do is completed."""
        self._raising = False

    def interrupt_main_thread(self) -> None:
        """Raise KeyboardInterrupt in the main thread, even if Dagster's handlers are set or it hangs in a wait."""
        self._breaking = True
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def __enter__(self) -> Self:
        self._ours, self._wakeup = socketpair()
        self._wakeup.setblocking(False)
        wanted = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        # Ignored signals stay ignored: under nohup, or in a background job of a script.
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
        # After a cancel, a further signal must neither interrupt the remaining work nor change the exit code.
        for number, handler in self._saved.items():
            signal.signal(number, signal.SIG_IGN if self.heard else handler)
        self._wakeup.close()  # this ends the thread

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Interrupt the main thread: for every signal, do what the current handler of SIGINT does."""
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
                elif pressed - {signal.SIGHUP} and first is not None and time.monotonic() - first > REPEAT_WINDOW:
                    self.on_second()
                    return
