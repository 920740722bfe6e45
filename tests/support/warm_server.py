"""A Python process that has imported Dagster and forks programs on request; `warm_start.py` is its client.

Importing Dagster costs a second and a half of CPU. A program that is forked from here is a process of its own, with
its own environment, arguments, folder, descriptors and session; only the imports were made before. It is a child of
the process that asked for it, not of this one (clone(2), CLONE_PARENT), so its parent waits for it as for any other.

Run as `python warm_server.py DESCRIPTOR MODE LIBRARIES PADDING`. DESCRIPTOR is a socket. MODE is `libraries` (nothing
that reads the environment is imported, so that each program may have its own) or `everything` (for programs with this
process's environment). LIBRARIES, separated by commas, are imported beside Dagster. PADDING reserves space
for the arguments of the forked programs, which `/proc` shows instead.
"""

import ctypes
import fcntl
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from forked_process import (  # this file is a script: modules of its folder are found by their names
    Memory,
    close_all_but,
    find_memory,
    fork_for_parent,
    open_streams,
    show_arguments,
    show_environment,
)

PR_SET_PDEATHSIG = 1
FIRST_SPARE_DESCRIPTOR = 200
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CODE_THAT_READS_NO_ENVIRONMENT = "imgrelay_dagster.relay."
LIBRARIES = (
    "boto3.session",
    "dagster._cli",
    "dagster._cli.api",
    "dagster._daemon.cli",
    "dagster._grpc.impl",
    "dagster_aws.s3",
    "dagster_webserver.app",
    "PIL.Image",
)
"""What is imported in any case: what most programs need, and the commands of Dagster's servers."""

PADDING_VARIABLE = "WARM_SERVER_PADDING"
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy would start threads, which do not survive a fork


class Request(NamedTuple):
    """A program to start.

    `targets` are the numbers that the descriptors of the request get in it. `with_children` says whether the programs
    that it starts are forked, too.
    """

    arguments: list[str]
    folder: str
    environment: dict[str, str] | None
    targets: list[int]
    new_session: bool
    death_signal: int
    with_children: bool
    ignored_signals: list[int]


def receive(connection: socket.socket) -> tuple[Request, list[int]] | None:
    """The next request and its descriptors; None when the client is gone."""
    head, descriptors, _, _ = socket.recv_fds(connection, 8, 64)
    if len(head) < 8:
        return None
    length, body = int.from_bytes(head, "big"), b""
    while len(body) < length:
        part = connection.recv(length - len(body))
        if not part:
            return None
        body += part
    return Request(**json.loads(body)), descriptors


def import_libraries(further: list[str]) -> None:
    """Import the libraries that the project's code imports, further ones, and its modules that read no environment.

    Which these are is found out by importing all in a process that is forked for it. It finds imported what surely
    reads no variable of ours.
    """
    for name in (*LIBRARIES, *further):
        importlib.import_module(name)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        import_everything()
        names = [
            name
            for name, module in sys.modules.items()
            if getattr(module, "__spec__", None) is not None
            and name != "__main__"
            and (not name.startswith("imgrelay_dagster") or name.startswith(CODE_THAT_READS_NO_ENVIRONMENT))
        ]
        with os.fdopen(writer, "w") as output:
            output.write("\n".join(names))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as found:
        names = found.read().splitlines()
    os.waitpid(pid, 0)
    for name in names:
        importlib.import_module(name)


def import_everything() -> None:
    """Import what a step process finds loaded."""
    importlib.import_module("imgrelay_dagster.forkserver.preload")
    importlib.import_module("dagster._grpc.impl")


def take_over(request: Request, descriptors: list[int], memory: Memory) -> None:
    """Give this forked process its session, descriptors, environment, folder and name."""
    if request.new_session:
        os.setsid()
    spare = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, FIRST_SPARE_DESCRIPTOR) for number in descriptors]
    for number, target in zip(spare, request.targets, strict=True):
        os.dup2(number, target, inheritable=True)
    close_all_but(*request.targets)
    open_streams()
    if request.death_signal:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, request.death_signal, 0, 0, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in ENDING_SIGNALS:
        default: Any = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if number in request.ignored_signals else default)
    os.chdir(request.folder)
    if request.environment is not None:
        os.environ.clear()
        os.environ.update(request.environment)
    os.environ.pop(PADDING_VARIABLE, None)
    tempfile.tempdir = None  # which depends on the environment
    show_arguments(memory, request.arguments)
    show_environment(memory)
    if request.with_children:
        warm_start = importlib.import_module("warm_start")
        warm_start.use_for_programs(own_server(memory))
        if "grpc" in request.arguments:  # a code server, which starts runs
            warm_start.use_for_spawns()
    elif any("spawn_main(" in word for word in request.arguments):
        importlib.import_module("warm_start").use_for_spawns(own_server(memory))


def own_server(memory: Memory) -> Any:
    """Fork a server for what this process will start; returns its client. What the server starts begins here."""
    warm_start = importlib.import_module("warm_start")
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        close_all_but(theirs.fileno())
        show_arguments(memory, ["warm_server.py", "of a program"])
        arguments = serve(theirs, memory)
        run_program(arguments, memory)
        sys.exit()
    theirs.close()
    return warm_start.WarmServer.connected(ours)


def run_program(arguments: list[str], memory: Memory) -> None:
    """Run what these arguments of an interpreter, or of a script, would run, and then the programs that it becomes."""
    warm_start = importlib.import_module("warm_start")
    while True:
        try:
            run_once(arguments)
        except warm_start.Replaced as replaced:
            arguments = replaced.arguments
            show_arguments(memory, arguments)
            if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
                signal.signal(signal.SIGINT, signal.default_int_handler)  # as an interpreter does that starts
        else:
            return


def run_once(arguments: list[str]) -> None:
    """Run what these arguments of an interpreter, or of a script, would run."""
    program, *words = arguments
    if Path(program).name.startswith("python"):
        while words[0].startswith("-") and words[0] not in ("-m", "-c"):
            option = words.pop(0)
            if option == "-W":
                warnings._processoptions([words.pop(0)])  # type: ignore[attr-defined]
        option, what, *rest = words
        if option == "-m":
            sys.argv = [what, *rest]
            sys.path[0] = str(Path.cwd())
            runpy.run_module(what, run_name="__main__", alter_sys=True)
            return
        if option == "-c":
            sys.argv = ["-c", *rest]
            sys.path[0] = ""
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__", "__builtins__": __builtins__})
            return
        program, arguments = option, words
    sys.argv = arguments
    sys.path[0] = str(Path(program).parent)
    runpy.run_path(program, run_name="__main__")


def serve(connection: socket.socket, memory: Memory) -> list[str]:
    """Answer requests until the client is gone. Returns only in a forked process: its arguments."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is for the tests
    while True:
        asked = receive(connection)
        if asked is None:
            os._exit(0)
        request, descriptors = asked
        begun, beginning = os.pipe()
        pid = fork_for_parent(memory)
        if pid == 0:
            take_over(request, descriptors, memory)
            return request.arguments
        os.close(beginning)
        os.read(begun, 1)  # until the process has a session, so that signals to its group reach it, and closes the pipe
        os.close(begun)
        for number in descriptors:
            os.close(number)
        connection.sendall(pid.to_bytes(8, "big"))


def main() -> None:
    connection = socket.socket(fileno=int(sys.argv[1]))
    gc.disable()
    mode, libraries = sys.argv[2], [name for name in sys.argv[3].split(",") if name]
    import_everything() if mode == "everything" else import_libraries(libraries)
    gc.freeze()
    gc.enable()
    assert threading.active_count() == 1 and len(os.listdir("/proc/self/task")) == 1  # noqa: PT018, PTH208
    sys.path.append(str(Path(__file__).parent))  # for `warm_start`
    memory = find_memory()
    run_program(serve(connection, memory), memory)


if __name__ == "__main__":
    main()
