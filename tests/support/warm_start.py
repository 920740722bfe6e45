"""Starting `imgrelay` and `dagster` commands without the second and a half that importing Dagster takes.

`WarmPopen` is a `subprocess.Popen` whose process is forked by a `warm_server.py` of this test process. It is a real
child with its own id, environment and session, and can be signalled, killed and waited for like any other.
Where this cannot be done, or would not be the same, the command is started as usual.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

SERVER = Path(__file__).with_name("warm_server.py")
PADDING = 16_384
"""Bytes of arguments and of environment that `/proc` can show of a forked process."""

INHERITED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that a new process ignores if its parent ignores them."""

COLD = "IMGRELAY_TESTS_COLD"
"""Set this variable to start every command as usual."""

INTERPRETER_VARIABLES = ("PYTHON", "LD_", "LC_", "LANG", "MALLOC_", "GLIBC_")
"""Variables that Python reads only when it starts. A command whose values differ from ours is started as usual."""


# What a terminal gives a program, and a script or a test runner may not: signals that are not ignored. On Linux the
# program is also ended when the tests are (prctl(2), PR_SET_PDEATHSIG).
WITH_DEFAULT_SIGNALS = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(sys.argv[1]), 0, 0, 0)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
    signal.signal(number, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_SETMASK, ())
os.execv(sys.argv[2], sys.argv[2:])
"""


class WarmServer:
    """The process that forks. It ends with the process that started it."""

    def __init__(self, mode: str, libraries: Sequence[str] = ()) -> None:
        ours, theirs = socket.socketpair()
        given = {**os.environ, "WARM_SERVER_PADDING": "x" * PADDING}
        command = [sys.executable, str(SERVER), str(theirs.fileno()), mode, ",".join(libraries), "x" * PADDING]
        self._process = subprocess.Popen(command, env=given, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()
        self._connection = ours
        self._lock = threading.Lock()

    @classmethod
    def connected(cls, connection: socket.socket) -> "WarmServer":
        """The client of a server that is there already."""
        client = cls.__new__(cls)
        client._connection, client._lock = connection, threading.Lock()
        return client

    def start(
        self,
        arguments: Sequence[str],
        descriptors: Mapping[int, int],
        *,
        folder: str | None = None,
        environment: Mapping[str, str] | None = None,
        new_session: bool = False,
        death_signal: int = 0,
        with_children: bool = False,
    ) -> int:
        """Start a program; returns its id. It is a child of this process.

        Args:
            arguments: of an interpreter (`python -m ...`, `python -c ...`), or a script with its arguments.
            descriptors: ours by the numbers that they get in it.
            environment: all its variables; those of the server if None.
            death_signal: what it gets when this process ends; it then has the default signals, too.
            with_children: whether the Python programs that it starts are forked, too, and those that they start.
        """
        request = {
            "arguments": list(arguments),
            "folder": folder or str(Path.cwd()),
            "environment": None if environment is None else dict(environment),
            "targets": list(descriptors),
            "new_session": new_session,
            "death_signal": int(death_signal),
            "with_children": with_children,
            "ignored_signals": []
            if death_signal
            else [int(n) for n in INHERITED if signal.getsignal(n) is signal.SIG_IGN],
        }
        body = json.dumps(request).encode()
        with self._lock:
            socket.send_fds(self._connection, [len(body).to_bytes(8, "big")], list(descriptors.values()))
            self._connection.sendall(body)
            answer = self._connection.recv(8, socket.MSG_WAITALL)
        if len(answer) < 8:
            raise OSError(f"the warm server of {arguments} has ended")
        return int.from_bytes(answer, "big")


def use_for_spawns(server: WarmServer | None = None) -> None:
    """From now on, let multiprocessing fork from this server the interpreters that it would start.

    Without a server one is started for the first of them: in a code server that is the process of its first run.
    """
    from multiprocessing import util

    known = [server] if server else []
    spawn = util.spawnv_passfds

    def fork(path: Any, arguments: Sequence[Any], descriptors: Sequence[int]) -> int:
        words = [os.fsdecode(word) for word in arguments]
        if not any("spawn_main(" in word or "forkserver" in word for word in words):
            return spawn(path, arguments, descriptors)
        if not known:
            known.append(WarmServer("everything"))
        numbers = (0, 1, 2, *descriptors)
        return known[0].start(words, dict(zip(numbers, numbers, strict=True)), environment=os.environ)

    util.spawnv_passfds = fork


@cache
def session_server(*libraries: str) -> WarmServer:
    """The server of this test process that has these libraries as well.

    Linux takes the thread that first asks for it for the parent of what it starts (prctl(2), PR_SET_PDEATHSIG).
    """
    return WarmServer("libraries", libraries)


class WarmPopen(subprocess.Popen[Any]):
    """A process forked from the warm server of this process.

    Written against `Popen` of Python 3.11 to 3.14.

    Args:
        death_signal: what it gets when this process ends.
        libraries: what it finds imported beside Dagster.
        with_children: whether the Python programs that it starts are forked, too.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        *,
        death_signal: int = 0,
        libraries: Sequence[str] = (),
        with_children: bool = False,
        **options: Any,
    ) -> None:
        self._death_signal, self._libraries, self._with_children = death_signal, libraries, with_children
        super().__init__([str(word) for word in arguments], **options)

    def _server(self) -> WarmServer:
        return session_server(*self._libraries)

    def _execute_child(self, args: Any, *rest: Any) -> None:
        _executable, _preexec, _close_fds, pass_fds, cwd, env, _startupinfo, _flags, _shell = rest[:9]
        p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite = rest[9:15]
        _restore, _gid, _gids, _uid, _umask, start_new_session, _group = rest[15:]
        given = {0: p2cread, 1: c2pwrite, 2: errwrite, **{number: number for number in pass_fds}}
        self.pid = self._server().start(
            args,
            {target: target if number == -1 else number for target, number in given.items()},
            folder=None if cwd is None else str(cwd),
            environment=os.environ if env is None else env,
            new_session=start_new_session,
            death_signal=self._death_signal,
            with_children=self._with_children,
        )
        self._child_created = True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)  # type: ignore[attr-defined]


class Replaced(BaseException):
    """Ends what a forked process does, which is to become another program.

    Args:
        arguments: those of the other program.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        super().__init__(arguments)
        self.arguments = list(arguments)


def use_for_programs(server: WarmServer) -> None:
    """From now on, fork from this server the Python programs that this process starts, and those that they start.

    A program that this process becomes (exec(3)) is run with what is imported, too.
    """
    cold, execv, owner = subprocess.Popen, os.execv, os.getpid()

    class Popen(WarmPopen):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            self._death_signal = 0
            cold.__init__(self, *arguments, **options)

        def _server(self) -> WarmServer:
            return server

        def _execute_child(self, args: Any, *rest: Any) -> None:
            env = os.environ if rest[5] is None else rest[5]
            if os.getpid() == owner and is_python(args) and can_be_warm(env):
                self._with_children = str(SERVER) not in args  # a warm server has no use for another one
                super()._execute_child(args, *rest)
            else:
                cold._execute_child(self, args, *rest)  # type: ignore[attr-defined]

    def become(path: Any, arguments: Any) -> None:
        if is_python(arguments):
            raise Replaced(arguments)
        execv(path, arguments)

    subprocess.Popen = Popen  # type: ignore[misc]
    os.execv = become  # type: ignore[assignment]


def is_python(arguments: Any) -> bool:
    """Whether these are the arguments of an interpreter."""
    return isinstance(arguments, list) and Path(str(arguments[0])).name == Path(sys.executable).name


def can_be_warm(environment: Mapping[str, str]) -> bool:
    """Whether a command with this environment is the same when it is forked."""

    def own(variables: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in variables.items() if name.startswith(INTERPRETER_VARIABLES)}

    return sys.platform == "linux" and COLD not in os.environ and own(environment) == own(os.environ)


def popen(
    arguments: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cold: bool = False,
    death_signal: int = 0,
    libraries: Sequence[str] = (),
    with_children: bool = False,
    **options: Any,
) -> subprocess.Popen[Any]:
    """Start a command of Python, forked if that is the same; `cold` starts it as usual.

    With a `death_signal` the command has the default signals, as from a terminal, and gets this one when we end.
    `with_children` forks the Python programs that it starts, too.
    """
    words = [str(word) for word in arguments]
    if not cold and can_be_warm(env):
        how: dict[str, Any] = {"death_signal": death_signal, "libraries": libraries, "with_children": with_children}
        return WarmPopen(words, env=env, **how, **options)
    if death_signal:
        words = [sys.executable, "-c", WITH_DEFAULT_SIGNALS, str(int(death_signal)), *words]
    return subprocess.Popen(words, env=dict(env), **options)


def run(
    arguments: Sequence[str | Path], *, env: Mapping[str, str], timeout: float, cold: bool = False, **options: Any
) -> subprocess.CompletedProcess[str]:
    """`subprocess.run` of a command of Python, with its output captured as text."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with popen(arguments, env=env, cold=cold, **pipes, **options) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def output_of(code: str, *arguments: str | Path) -> str:
    """What a process prints that executes this code. What it patches does not reach this process."""
    done = run([sys.executable, "-c", code, *arguments], env=os.environ, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
