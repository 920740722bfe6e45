"""The command `imgrelay`: parses the arguments and returns the exit code.

The modules in `commands/` do the work: `launch.py` executes a run, `results.py` and `datasets.py` show what is stored.
"""

import argparse
import atexit
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

from imgrelay_dagster.commands.arguments import build_parser
from imgrelay_dagster.commands.exit_codes import CANCELED, WRONG_USAGE
from imgrelay_dagster.commands.given_config import UsageError, allow_local_paths, run_config, with_given_names
from imgrelay_dagster.commands.signals import ShutdownSignals
from imgrelay_dagster.commands.stdio import prepare_streams
from imgrelay_dagster.relay.redact import redact_text

COMMANDS = {
    "adjust": ("adjust", "adjust"),
    "datasets": ("datasets", "datasets"),
    "dev": ("dev", "dev"),
    "init": ("init", "init"),
    "metrics": ("metrics", "metrics"),
    "prune": ("mirror", "prune_command"),
    "report": ("report", "report"),
    "results": ("results", "results"),
    "runs": ("runs", "runs"),
    "template": ("template", "template_command"),
    "verify": ("mirror", "verify"),
}
"""By command, its module in `commands/` and its function there, which takes the arguments and returns the exit code."""


def program() -> NoReturn:
    """Run the command and exit with its code.

    It skips Python's normal shutdown for two reasons. Deallocating thousands of modules takes 50 ms. And after an
    interrupt that was handled, `python -m` may still end by SIGINT, whatever the exit code: CPython counts an interrupt
    raised inside `exec` of a string as unhandled (`run_eval_code_obj` in its pythonrun.c), and dataclasses and Dagster
    call `exec` when they are imported.
    """
    prepare_streams()
    code = main()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # the terminal may have been closed
            stream.flush()
    os._exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    try:
        arguments = build_parser().parse_args(argv)
        return _run_command(arguments) if arguments.command == "run" else _other_command(arguments)
    except (KeyboardInterrupt, RuntimeError) as error:  # also before ShutdownSignals has installed its handlers
        if not _is_interrupt(error):
            raise
        _print_error("imgrelay: canceled")
        return CANCELED


def _run_command(arguments: argparse.Namespace) -> int:
    with ShutdownSignals() as signals:
        try:
            return _launch_run(run_config(arguments), signals, as_json=arguments.json)
        except UsageError as error:
            _print_error(f"imgrelay: {redact_text(str(error))}")
            return WRONG_USAGE
        except (KeyboardInterrupt, RuntimeError) as error:
            if not _is_interrupt(error):
                raise
            _print_error("imgrelay: canceled before the run began")
            return CANCELED


def _is_interrupt(error: BaseException) -> bool:
    """Whether an error is an interrupt. Python 3.11 makes one in `__set_name__`, which imports call, a RuntimeError."""
    return isinstance(error, KeyboardInterrupt) or isinstance(error.__cause__, KeyboardInterrupt)


def _other_command(arguments: argparse.Namespace) -> int:
    """Run a command other than `run`. Only its own module is imported: some of them need Dagster, which is slow."""
    module, function = COMMANDS[arguments.command]
    code: int = getattr(import_module(f"imgrelay_dagster.commands.{module}"), function)(arguments)
    return code


def _print_error(message: str) -> None:
    with suppress(OSError):  # the terminal may have been closed
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()


def _launch_run(config: dict[str, Any], signals: ShutdownSignals, *, as_json: bool) -> int:
    """Set up the environment, execute the run, print its result and return the exit code.

    Modules are imported inside this function for two reasons. Importing Dagster takes a second, and the display should
    be visible by then. And our own modules read the environment while they are imported.
    """
    from imgrelay_dagster.forkserver.fast_imports import loading  # noqa: PLC0415

    with loading():
        from imgrelay_dagster.commands.console import Console  # noqa: PLC0415
        from imgrelay_dagster.commands.dagster_home import set_up_dagster_home  # noqa: PLC0415
        from imgrelay_dagster.relay.errors import RelayError  # noqa: PLC0415
    console = Console(as_json=as_json)
    given = dict(config)
    try:
        with console.progress():
            home = set_up_dagster_home()
            allow_local_paths(config)
            with loading():
                from imgrelay_dagster.commands.launch import launch  # noqa: PLC0415
                from imgrelay_dagster.commands.preflight import check_run_config  # noqa: PLC0415
                from imgrelay_dagster.dagster_patches.resolved_config import patch_resolved_config  # noqa: PLC0415
                from imgrelay_dagster.dagster_patches.sqlite_storage import patch_sqlite_storage  # noqa: PLC0415
                from imgrelay_dagster.forkserver.server import step_server  # noqa: PLC0415

                patch_sqlite_storage()
                patch_resolved_config()
            checked = check_run_config(config)
            if checked.dry_run:
                from imgrelay_dagster.commands.dry_run import dry_run  # noqa: PLC0415

                return dry_run(checked, console)
            with step_server(console.draw_lock):
                result = launch(checked, home, signals, console)
    except RelayError as error:
        raise UsageError(with_given_names(str(error), given)) from error
    for message in result.errors:
        console.error(with_given_names(message, given))
    if result.summary is not None:
        console.summary(result.summary, result.destination)
    return result.code


if __name__ == "__main__":
    program()
