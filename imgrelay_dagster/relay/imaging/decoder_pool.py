"""Decodes pictures in processes of their own, which are killed and replaced when a picture costs too much.

A decoder cannot be interrupted, and some hold the interpreter's lock while they work: a picture on which one works for
minutes would stop all threads of a step. Pictures whose cost is not known in advance are decoded here; see `cost.py`.
"""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self

from PIL import Image

from imgrelay_dagster.relay.errors import EntryFailure, Stopped
from imgrelay_dagster.relay.imaging import decoder_process
from imgrelay_dagster.relay.imaging.core_wait import CoreWait
from imgrelay_dagster.relay.imaging.decode import Decoded, Source
from imgrelay_dagster.relay.imaging.decoder_process import Request, Response, encode_header, rows_of_strip
from imgrelay_dagster.relay.imaging.layout import ScaledToFit
from imgrelay_dagster.relay.outcomes import Reason

CPU_LIMIT = 8.0
"""Seconds of CPU time for one picture. A picture of 50 megapixels takes one or two in any format."""

RUN_LIMIT = 10.0
"""Seconds for one picture, without the time in which its process waited for a core. Also what needs no core counts."""

UNKNOWN_WAIT = 3.0
"""Where the kernel does not tell how long a process waited for a core, `RUN_LIMIT` is so many times as long."""

_TICK = 0.1  # seconds between two checks of the stop event
_START_LIMIT = 60.0  # seconds for a process to start and to receive the file
_SENT_BYTES = 1 << 20  # at once
_CLOSE_LIMIT = 2.0  # seconds for the kernel to end a killed process
_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}


class DecoderPool:
    """Decoder processes for the threads of one step; each starts when a thread first needs it. A context manager.

    Args:
        stop: once set, calls raise `Stopped` and their processes are killed.
        cpu_limit: seconds of CPU time for one picture.
        run_limit: seconds for one picture, without those in which its process waited for a core.
    """

    def __init__(
        self,
        stop: threading.Event | None = None,
        *,
        cpu_limit: float = CPU_LIMIT,
        run_limit: float = RUN_LIMIT,
    ) -> None:
        self._new_decoder = partial(_Decoder, stop or threading.Event(), cpu_limit, run_limit)
        self._idle: list[_Decoder] = []
        self._lock = threading.Lock()
        self._closed = False

    def decode(self, source: Source, target: ScaledToFit | None = None, keep: Collection[str] = ()) -> Decoded:
        """Decode a picture, with the result that `source.decode(target, keep)` has.

        Raises:
            EntryFailure: `too_costly`, or a reason of `Source.decode`.
            MemoryError: the kernel ended the process because memory is short.
            Stopped: the run is being stopped.
        """
        decoder = self._take() or self._new_decoder()
        try:
            decoded = decoder.decode(source, target, keep)
        except EntryFailure:
            self._put_back(decoder)
            raise
        except BaseException:
            decoder.kill()
            raise
        self._put_back(decoder)
        return decoded

    def _take(self) -> "_Decoder | None":
        """An idle process, if there is one that still runs."""
        while True:
            with self._lock:
                decoder = self._idle.pop() if self._idle else None
            if decoder is None or decoder.is_running:
                return decoder
            decoder.kill()

    def _put_back(self, decoder: "_Decoder") -> None:
        with self._lock:
            if not self._closed and decoder.is_running:
                self._idle.append(decoder)
                return
        decoder.kill()

    def close(self) -> None:
        """Kill the idle processes; those that decode are killed when their calls end. May be called twice."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for decoder in idle:
            decoder.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Decoder:
    """One process, used by one thread at a time."""

    def __init__(self, stop: threading.Event, cpu_limit: float, run_limit: float) -> None:
        self._stop, self._cpu_limit, self._run_limit = stop, cpu_limit, run_limit
        self._connection, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # nosec B603
                [sys.executable, "-m", decoder_process.__name__, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=_environment(),
            )
        self._connection.settimeout(_TICK)
        self._core_wait = CoreWait(self._process.pid)
        self._start_clock()

    @property
    def is_running(self) -> bool:
        """Whether the process may take another picture."""
        return self._process.poll() is None and self._connection.fileno() >= 0

    def decode(self, source: Source, target: ScaledToFit | None, keep: Collection[str]) -> Decoded:
        """See `DecoderPool.decode`."""
        self._start_clock()
        try:
            canvas, fit = (target.canvas, target.fit) if target else (None, None)
            limits = source.max_pixels, source.cost.memory, self._cpu_limit
            request = Request(len(source.data), *limits, canvas=canvas, fit=fit, keep=tuple(keep))
            self._send(encode_header(request) + source.data)
            self._start_clock()  # the process has started
            (length,) = struct.unpack(">I", self._receive(4))
            response = _parse_response(self._receive(length))
            if response.reason is not None:
                raise EntryFailure(response.reason, response.detail)
            image = self._receive_image(response)
            return Decoded(image, response.full_size, response.extent, response.frames, response.kept)
        except (EOFError, OSError):
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_CLOSE_LIMIT)
            self.kill()
            raise self._failure(source) from None

    def _receive_image(self, response: Response) -> Image.Image:
        width, height = response.size
        image = Image.new(response.mode, response.size)
        rows = rows_of_strip(response.mode, width)
        for top in range(0, height, rows):
            size = width, min(rows, height - top)
            strip = self._receive(width * size[1] * len(response.mode))
            image.paste(Image.frombuffer(response.mode, size, strip, "raw", response.mode, 0, 1), (0, top))
        return image

    def _send(self, data: bytes) -> None:
        view, sent = memoryview(data), 0
        while sent < len(data):
            sent += self._wait(partial(self._connection.send, view[sent : sent + _SENT_BYTES]), _START_LIMIT)

    def _receive(self, size: int) -> bytearray:
        """Receive so many bytes; EOFError when the process has ended."""
        data = bytearray(size)
        view, received = memoryview(data), 0
        while received < size:
            count = self._wait(partial(self._connection.recv_into, view[received:]), self._run_limit)
            if not count:
                raise EOFError
            received += count
        return data

    def _wait(self, call: Callable[[], int], limit: float) -> int:
        """Call until it does not time out; the sum of the waits is limited."""
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                return call()
            except TimeoutError:
                # Not more than two ticks: while the whole machine was suspended, the decoder did not work either.
                self._waited += min(time.monotonic() - started, 2 * _TICK)
                if self._has_run() > limit:
                    self.kill()
                    raise EntryFailure(Reason.TOO_COSTLY, f"decoding it takes more than {limit:g} s") from None
        raise Stopped

    def _start_clock(self) -> None:
        self._waited, self._without_core = 0.0, self._core_wait.seconds()

    def _has_run(self) -> float:
        """The seconds in which the process did not wait for a core; where that is unknown, a part of all.

        To be called in every tick: the kernel forgets how long a thread waited that has ended.
        """
        without_core = self._core_wait.seconds()
        if without_core is None or self._without_core is None:
            return self._waited / UNKNOWN_WAIT
        return self._waited - max(0.0, without_core - self._without_core)

    def _failure(self, source: Source) -> Exception:
        """Why the process ended while it decoded a picture."""
        code = self._process.returncode
        number = signal.Signals(-code) if code is not None and code < 0 else None
        if number == signal.SIGPROF:
            return EntryFailure(Reason.TOO_COSTLY, f"decoding it takes more than {self._cpu_limit:g} s of CPU time")
        if number in _CRASHES:
            return EntryFailure(Reason.CORRUPT_IMAGE, f"the {source.format} crashes its decoder ({number.name})")
        if number == signal.SIGKILL:
            return MemoryError("the kernel ended the decoder's process; memory is short")
        return EntryFailure(Reason.INTERNAL_ERROR, f"the decoder's process ended with exit code {code}")

    def kill(self) -> None:
        """End the process."""
        self._connection.close()
        with suppress(OSError):
            self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_CLOSE_LIMIT)


def _parse_response(header: bytearray) -> Response:
    fields = json.loads(header)
    fields["reason"] = Reason(fields["reason"]) if fields["reason"] else None
    for name in ("size", "full_size", "extent"):
        fields[name] = tuple(fields[name])
    return Response(**fields)


def _environment() -> dict[str, str]:
    """The environment of a decoder process: where modules are, and no credentials."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONSAFEPATH": "1"}
