"""`imgrelay dev`: starts the Dagster UI and its daemon with imgrelay's definitions."""

import argparse
import os
import signal
import sys
from pathlib import Path

from imgrelay_dagster.commands.dagster_home import set_up_dagster_home
from imgrelay_dagster.commands.exit_codes import WRONG_USAGE
from imgrelay_dagster.commands.init import INSTANCE_FOLDER
from imgrelay_dagster.commands.tables import print_message
from imgrelay_dagster.relay.errors import RelayError


def dagster_command(*arguments: str) -> list[str]:
    """A command of Dagster's, without its advice to install `dg` and use that instead (a SupersessionWarning)."""
    return [sys.executable, "-W", "ignore:Function `:FutureWarning", "-m", "dagster", *arguments]


def heed_interrupts() -> None:
    """Let this process, and those that it starts, end on SIGINT if they would ignore it.

    A shell without job control has what it starts in the background ignore SIGINT. Dagster's processes then ignore
    SIGTERM too, because they treat it as they treat SIGINT.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def dev(arguments: argparse.Namespace) -> int:
    """Become `dagster dev`, so that signals and the exit code are its own; returns only if that cannot start."""
    try:
        set_up_dagster_home()
    except RelayError as error:
        print_message(str(error))
    else:
        _become_dagster(arguments)
    return WRONG_USAGE


def _become_dagster(arguments: argparse.Namespace) -> None:
    own = Path("workspace.yaml")
    workspace = own if own.is_file() else INSTANCE_FOLDER / own
    address = ["--host", arguments.host, "--port", str(arguments.port)]
    command = dagster_command("dev", *address, "--workspace", str(workspace))
    heed_interrupts()
    os.execv(command[0], command)  # nosec B606: no shell, and the command is our own
