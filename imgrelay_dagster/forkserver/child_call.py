"""Calls a function in a child process, for work that must not leave threads in a process that is forked later.

obstore starts its threads at the first use of a remote store. A process forked after that has the store's state without
its threads: its requests hang, or end in a panic.
"""

import multiprocessing
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar

from imgrelay_dagster.forkserver.server import blocked_signals
from imgrelay_dagster.relay.errors import RelayError

T = TypeVar("T")

LIMIT = 120.0
"""Seconds that a call may take: more than a store's time limits for side tasks allow."""


def call_in_child(function: Callable[[], T]) -> T:
    """Call the function in a process forked from this one, and return its result, which has to be picklable.

    Raises:
        RelayError: the function raised it.
        ChildProcessError: the child ended without a result, and its traceback is on standard error; or it took more
            than `LIMIT` seconds.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_send_result, args=(sender, function), daemon=True)
    with receiver:
        # The child ends with its work, not by the signals that end a run; this process kills it then.
        with blocked_signals(), warnings.catch_warnings(), sender:
            warnings.simplefilter("ignore", DeprecationWarning)  # see `server._fork`
            child.start()
        try:
            if not receiver.poll(LIMIT):
                raise ChildProcessError(f"a child process gave no result within {LIMIT:g} s")
            result, error = receiver.recv()
        except EOFError as end:
            raise ChildProcessError("a child process ended without a result") from end
        finally:
            child.kill()
            child.join()
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


def _send_result(sender: Connection, function: Callable[[], object]) -> None:
    try:
        sender.send((function(), None))
    except RelayError as error:
        sender.send((None, error))
