"""A command on a host of its own, simulated with Linux namespaces: `python own_host.py NAME HIDDEN OWN COMMAND...`.

The host has the name NAME, and process numbers of its own. In place of the folder HIDDEN the command finds an empty
one, and in it the new folder OWN, where it starts. All other folders are read-only. Everything on the host ends with
this process.
"""

import ctypes
import os
import signal
import socket
import sys
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWPID = 0x20000, 0x4000000, 0x20000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x1, 0x20, 0x1000, 0x4000, 0x40000
PR_SET_PDEATHSIG = 1

library = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> None:
    """Call a function of the C library that returns 0 if it succeeds.

    Raises:
        OSError: it did not.
    """
    if getattr(library, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str | None, flags: int) -> None:
    call("mount", source.encode(), target.encode(), kind and kind.encode(), ctypes.c_ulong(flags), None)


def main() -> None:
    name, hidden, own, *command = sys.argv[1:]
    call("unshare", CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWPID)
    pid = os.fork()
    if pid == 0:
        call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        mount("none", "/", None, MS_REC | MS_PRIVATE)
        mount("proc", "/proc", "proc", 0)
        socket.sethostname(name)
        mount("none", hidden, "tmpfs", 0)
        Path(own).mkdir()
        os.chdir(own)
        mount("none", "/", None, MS_REMOUNT | MS_BIND | MS_RDONLY)
        os.execv(command[0], command)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main()
