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
import io
import json
import os
import runpy
import signal
import socket
import sys
import tempfile
import threading
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

CLONE_PARENT = 0x00008000
SYS_CLONE = {"x86_64": 56, "aarch64": 220}
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


class Memory(NamedTuple):
    """Where `/proc` reads this process's arguments and environment, and where the C library keeps its thread id."""

    arguments: tuple[int, int]
    environment: tuple[int, int]
    thread_id: int


def find_memory() -> Memory:
    """Find the addresses.

    Raises:
        LookupError: the C library is not laid out as expected.
    """
    fields = list(map(int, Path("/proc/self/stat").read_text().rpartition(")")[2].split()[1:]))
    start = 48 - 4  # proc_pid_stat(5) numbers arg_start 48; the list starts with field 4
    library = ctypes.PyDLL(None)
    library.pthread_self.restype = ctypes.c_void_p
    base = int(library.pthread_self())
    words = (ctypes.c_int * 512).from_address(base)
    found = [number for number, word in enumerate(words) if word == os.getpid()]
    if len(found) != 1:
        raise LookupError("no single place holds the thread id")
    return Memory((fields[start], fields[start + 1]), (fields[start + 2], fields[start + 3]), base + 4 * found[0])


def fork_for_parent(memory: Memory) -> int:
    """Fork; the new process is a child of this one's parent. Returns its id, and 0 in it."""
    library = ctypes.PyDLL(None)
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = library.syscall(SYS_CLONE[os.uname().machine], CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)
    if pid:
        ctypes.pythonapi.PyOS_AfterFork_Parent()
        if pid < 0:
            raise OSError("clone failed")
        return pid
    ctypes.c_int.from_address(memory.thread_id).value = os.getpid()  # as the C library's own fork does
    ctypes.pythonapi.PyOS_AfterFork_Child()
    return 0


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


def show_arguments(memory: Memory, arguments: list[str]) -> None:
    """Have `/proc/self/cmdline` read as these arguments, joined by spaces, as setproctitle(3) would."""
    start, end = memory.arguments
    data = os.fsencode(" ".join(arguments))[: end - start - 2]
    ctypes.memmove(start, data.ljust(end - start - 1, b"\0") + b"x", end - start)  # no zero at the end: it is a title


def show_environment(memory: Memory) -> None:
    """Have `/proc/self/environ` read as the present environment."""
    start, end = memory.environment
    data = b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in os.environ.items())[: end - start]
    ctypes.memmove(start, data.ljust(end - start, b"\0"), end - start)


def open_streams() -> None:
    """Open standard input, output and error anew, as an interpreter does that has just been started."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, name)
        raw = io.FileIO(number, "r" if number == 0 else "w", closefd=False)
        buffer: Any = io.BufferedReader(raw) if number == 0 else io.BufferedWriter(raw)
        stream = io.TextIOWrapper(
            buffer,
            encoding=old.encoding,
            errors=old.errors,
            line_buffering=number == 2 or raw.isatty(),
            write_through=bool(number and old.write_through),
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


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


def close_all_but(*kept: int) -> None:
    """Close all descriptors but these and the standard ones."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names only
        if int(name) not in (0, 1, 2, *kept):
            with suppress(OSError):  # the one that the listing was read by
                os.close(int(name))


def run_program(arguments: list[str], memory: Memory) -> None:
    """Run what these arguments of an interpreter, or of a script, would run, and then the programs that it becomes."""
    warm_start = importlib.import_module("warm_start")
    while True:
        try:
            run_once(arguments)
        except warm_start.Replaced as replaced:
            arguments = replaced.arguments
            show_arguments(memory, arguments)
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
        os.read(
            begun, 1
        )  # until the process has its session, so that signals to its group reach it, and closes the pipe
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
