"""The command `imgrelay`: arguments in, exit code out. What a run does is in `launch.py`."""

import argparse
import atexit
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from imgrelay_dagster import __version__
from imgrelay_dagster.commands.exit_codes import CANCELED, WRONG_USAGE
from imgrelay_dagster.commands.signals import ShutdownSignals
from imgrelay_dagster.commands.stdio import settle_streams
from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.redact import redact, redact_text


class UsageError(Exception):
    """What the user gave cannot be used; the message says why."""


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="imgrelay", description="Download images, lay a template over each, store the results."
    )
    parser.add_argument("--version", action="version", version=f"imgrelay {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="relay the images of a manifest, or of URLs",
        description="Relay the images of a manifest, or of URLs given here.",
        epilog="Exit codes: 0 success, 1 the run failed, 2 wrong usage or config, 130 cancelled by Ctrl-C.",
    )
    run.add_argument("urls", nargs="*", metavar="URL", help="image URLs, instead of a manifest")
    run.add_argument("--manifest", metavar="FILE", help="path or s3:// address of a .txt, .csv or .jsonl[.gz]")
    run.add_argument("--template", metavar="T", help="template: a name in the template folder, or a path")
    run.add_argument("--destination", metavar="D", help="s3://bucket/prefix or a folder")
    run.add_argument("--dataset", metavar="N", help="name under which results are kept from run to run")
    run.add_argument("--format", metavar="F", choices=["jpeg", "png", "webp"], help="jpeg, png or webp")
    run.add_argument("--quality", metavar="Q", type=int, help="jpeg and webp: 1 to 100")
    run.add_argument("--tolerated-failure-percentage", metavar="P", type=float, help="share that may fail")
    run.add_argument("--urls-per-task", metavar="K", type=int, help="entries in one task")
    run.add_argument("--max-concurrent", metavar="M", type=int, help="steps at once")
    run.add_argument("--refresh", action="store_true", default=None, help="relay again even what is done")
    run.add_argument("--config", metavar="FILE", help="YAML file of the run config; options win over it")
    run.add_argument("--json", action="store_true", help="end standard output with summary.json on one line")
    results = commands.add_parser(
        "results",
        help="what became of each line of a manifest",
        description="What became of each line of a manifest, in the latest run or another one: a table on a terminal, "
        "columns separated by tabs down a pipe, or the lines of results.jsonl.",
    )
    results.add_argument("--dataset", metavar="N", help="default: the only one there is")
    results.add_argument("--run", metavar="ID", help="a run, by its id or the beginning of it; default: the latest")
    results.add_argument("--failed", action="store_true", help="only what failed")
    results.add_argument("--reason", metavar="R", choices=[*map(str, Reason)], help="only what failed for it")
    datasets = commands.add_parser(
        "datasets",
        help="what there is in a destination",
        description="The datasets of a destination, one line each, as of their latest runs.",
    )
    for looking in (results, datasets):
        looking.add_argument("--destination", metavar="D", help="default: $IMGRELAY_DESTINATION, else out")
        looking.add_argument("--json", action="store_true", help="one JSON object a line")
        looking.epilog = "Exit codes: 0 success, 2 wrong usage, or what was asked for is not there."
    return parser


def program() -> NoReturn:
    """Be the command, and leave with its exit code.

    Python is not taken down in order, for two reasons: thousands of modules take it a twentieth of a second, and after
    an interrupt that was handled `python -m` might end by SIGINT whatever the code. CPython takes one that came while a
    string was executed, as dataclasses and Dagster do when they are imported, for unhandled (`run_eval_code_obj` in its
    pythonrun.c).
    """
    settle_streams()
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
        return _relay(arguments) if arguments.command == "run" else _look(arguments)
    except KeyboardInterrupt:  # at any moment, also while it is prepared to be heard in a better way
        _tell("imgrelay: cancelled")
        return CANCELED


def _relay(arguments: argparse.Namespace) -> int:
    with ShutdownSignals() as endings:
        try:
            return _run(run_form(arguments), endings, as_json=arguments.json)
        except UsageError as error:
            _tell(f"imgrelay: {redact_text(str(error))}")
            return WRONG_USAGE
        except KeyboardInterrupt:
            _tell("imgrelay: cancelled before the run began")
            return CANCELED


def _look(arguments: argparse.Namespace) -> int:
    from imgrelay_dagster.commands.datasets import datasets  # noqa: PLC0415 - as below
    from imgrelay_dagster.commands.results import results  # noqa: PLC0415

    return results(arguments) if arguments.command == "results" else datasets(arguments)


def _tell(message: str) -> None:
    with suppress(OSError):  # the terminal may have been closed
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()


def _run(form: dict[str, Any], endings: ShutdownSignals, *, as_json: bool) -> int:
    """Settle the environment, launch, tell how it ended.

    Imports are made here: Dagster takes a second, in which the terminal shows that something happens, and our own
    modules read the environment as they are loaded.
    """
    from imgrelay_dagster.forkserver.fast_imports import loading  # noqa: PLC0415

    with loading():
        from imgrelay_dagster.commands.console import Console  # noqa: PLC0415
        from imgrelay_dagster.commands.dagster_home import settle_dagster_home  # noqa: PLC0415
        from imgrelay_dagster.relay.errors import RelayError  # noqa: PLC0415
    console = Console(as_json=as_json)
    try:
        with console.progress():
            home = settle_dagster_home()
            _allow(form)
            with loading():
                from imgrelay_dagster.commands.launch import checked, launch  # noqa: PLC0415
                from imgrelay_dagster.dagster_patches.sqlite_storage import make_cheaper  # noqa: PLC0415
                from imgrelay_dagster.forkserver.server import step_server  # noqa: PLC0415

                make_cheaper()
            config = checked(form)
            with step_server(console.still):
                end = launch(config, home, endings, console)
    except RelayError as error:
        raise UsageError(str(error)) from error
    for message in end.errors:
        console.error(message)
    if end.summary is not None:
        console.summary(end.summary, end.destination)
    return end.code


def _allow(form: dict[str, Any]) -> None:
    """Let the run use the local paths that its user named, and take a template given by its path."""
    from imgrelay_dagster.config.allowed_paths import allow_arguments, allow_template  # noqa: PLC0415

    template = form.get("template")
    if isinstance(template, str) and "://" in template:
        raise UsageError(f"template {redact(template)!r} is a URL; give a name in the template folder, or a local path")
    if isinstance(template, str):
        form["template"] = allow_template(template)
    allow_arguments(form[name] for name in ("manifest", "destination") if isinstance(form.get(name), str))


def run_form(arguments: argparse.Namespace) -> dict[str, Any]:
    """The run config that the arguments and their config file describe.

    Raises:
        UsageError: the config file cannot be read, or no source of URLs is given.
    """
    form = _config_file(Path(arguments.config)) if arguments.config else {}
    if arguments.urls or arguments.manifest:
        for source in ("urls", "url_lines", "manifest"):
            form.pop(source, None)
    plain = (
        "urls", "manifest", "template", "destination", "dataset", "tolerated_failure_percentage",
        "urls_per_task", "max_concurrent", "refresh",
    )  # fmt: skip
    form.update({name: value for name in plain if (value := getattr(arguments, name)) not in (None, [])})
    output = {name: value for name in ("format", "quality") if (value := getattr(arguments, name)) is not None}
    if output:
        given = form.get("output") or {}
        if not isinstance(given, dict):
            raise UsageError(f"config file {arguments.config!r}: output must be a mapping, not {given!r}")
        form["output"] = {**given, **output}
    if not any(form.get(source) for source in ("urls", "url_lines", "manifest")):
        raise UsageError("nothing to relay: give --manifest FILE or URLs (see imgrelay run --help)")
    return form


def _config_file(path: Path) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - only where it is needed

    try:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"config file {str(path)!r} cannot be read: {error}") from error
    except yaml.YAMLError as error:  # whose text quotes the line, with whatever URL stands on it
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, character {mark.column + 1}" if mark else ""
        what = getattr(error, "problem", None) or "cannot be read"
        raise UsageError(f"config file {str(path)!r}{where} is no sound YAML: {what}") from None
    if form is None:
        return {}
    if not isinstance(form, dict):
        raise UsageError(f"config file {str(path)!r} is no mapping of fields; see docs/configuration.md")
    return form


if __name__ == "__main__":
    program()
