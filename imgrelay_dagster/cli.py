"""The command `imgrelay`: parses the arguments and returns the exit code.

The modules in `commands/` do the work: `launch.py` executes a run, `results.py` and `datasets.py` show what is stored.
"""

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
from imgrelay_dagster.commands.stdio import prepare_streams
from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.redact import redact, redact_text

_FORMATS = ("jpeg", "png", "webp", "avif", "source")


def _column(text: str) -> tuple[str, Any]:
    """Parse an argument of `--column`."""
    field, equals, name = text.partition("=")
    if not equals or not field.strip():
        raise argparse.ArgumentTypeError(f'{text!r} is not FIELD=NAME, such as url="Image Src"')
    value: Any = name.replace("\\n", "\n").replace("\\t", "\t") if field == "split" else name
    return field.strip(), {"true": True, "false": False}.get(name, value) if field == "skip_empty" else value


class UsageError(Exception):
    """The user's input cannot be used. The message says which input, and how to correct it."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parser = argparse.ArgumentParser(
        prog="imgrelay", description="Download images, lay a template over each, store the results."
    )
    parser.add_argument("--version", action="version", version=f"imgrelay {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="relay the images of a manifest or of URLs",
        description="Relay the images of a manifest, or of the URLs given as arguments.",
        epilog="Exit codes: 0 success, 1 the run failed, 2 wrong usage or config, 130 canceled, for example by Ctrl-C.",
    )
    run.add_argument("urls", nargs="*", metavar="URL", help="image URLs, instead of a manifest")
    run.add_argument(
        "--manifest",
        metavar="FILE",
        help="path or address of a .txt, .csv, .tsv, .jsonl, .json, .parquet or .xlsx file",
    )
    run.add_argument(
        "--column",
        metavar="FIELD=NAME",
        action="append",
        type=_column,
        dest="columns",
        help='column of the manifest that holds a field, such as url="Image Src"; repeatable. Fields: url, key, '
        "template; also split=, (what separates several URLs in a cell) and encoding=cp1252",
    )
    run.add_argument(
        "--carry", metavar="COLUMNS", help="columns to carry into the results, separated by commas; all: every column"
    )
    run.add_argument("--profile", metavar="P", help="named settings from the file IMGRELAY_PROFILES")
    run.add_argument("--template", metavar="T", help="template: a name in the template folder, or a path")
    run.add_argument("--destination", metavar="D", help="s3://bucket/prefix (or gs://, az://) or a folder")
    run.add_argument(
        "--key", metavar="PATTERN", help="keys of lines that give none, such as {sku}/{line:05d}-{name}.{ext}"
    )
    run.add_argument("--dataset", metavar="N", help="dataset name; runs of one dataset reuse its results")
    run.add_argument("--format", metavar="F", choices=list(_FORMATS), help=", ".join(_FORMATS))
    run.add_argument("--quality", metavar="Q", type=int, help="jpeg, webp and avif: 1 to 100")
    run.add_argument(
        "--tolerated-failure-percentage", metavar="P", type=float, help="percentage of entries that may fail"
    )
    run.add_argument("--urls-per-task", metavar="K", type=int, help="manifest entries per task")
    run.add_argument("--max-concurrent", metavar="M", type=int, help="steps that run at the same time")
    run.add_argument(
        "--refresh", action="store_true", default=None, help="relay every entry again, also those already done"
    )
    run.add_argument(
        "--retry-permanent", action="store_true", default=None, help="also ask again for what failed permanently"
    )
    run.add_argument(
        "--retry",
        metavar="REASON",
        dest="retry_reasons",
        action="append",
        choices=[*map(str, Reason)],
        help="ask again for entries whose last failure was this reason; may be repeated",
    )
    run.add_argument(
        "--recheck",
        metavar="PERIOD",
        help="ask again for what was done longer ago, such as 30d; what has not changed is not downloaded",
    )
    run.add_argument(
        "--dry-run", action="store_true", default=None, help="show what the run would do; ask no origin, store nothing"
    )
    run.add_argument(
        "--sample",
        metavar="N",
        type=int,
        help="relay only N random entries, into the dataset <dataset>-sample, and forecast what all of them would take",
    )
    run.add_argument("--config", metavar="FILE", help="YAML file with the run config; command-line options override it")
    run.add_argument("--json", action="store_true", help="print summary.json as one line on standard output")
    results = commands.add_parser(
        "results",
        help="show the outcome of each line of a manifest",
        description="Show the outcome of each line of a manifest in the latest run, or in the run given by --run: "
        "as a table on a terminal, as tab-separated columns in a pipe, or as the lines of results.jsonl with --json.",
    )
    results.add_argument("--dataset", metavar="N", help="dataset name; not needed if the destination holds only one")
    results.add_argument("--run", metavar="ID", help="a run ID or the beginning of one; default: the latest run")
    results.add_argument("--failed", action="store_true", help="only entries that failed")
    results.add_argument(
        "--reason", metavar="R", choices=[*map(str, Reason)], help="only entries that failed for this reason"
    )
    results.add_argument(
        "--column", metavar="NAME", action="append", default=[], help="also show this carried column; may be repeated"
    )
    results.add_argument("--csv", action="store_true", help="CSV with all carried columns, for a spreadsheet")
    report = commands.add_parser(
        "report",
        help="make the report of a run again",
        description="Write report.html and failed.csv of a run again, from its results; prints the report's address.",
    )
    report.add_argument("run", nargs="?", metavar="RUN", help="a run ID or the beginning of one; default: the latest")
    report.add_argument("--dataset", metavar="N", help="dataset name; not needed with a run ID")
    datasets = commands.add_parser(
        "datasets",
        help="list the datasets of a destination",
        description="List the datasets of a destination, one line each, with the totals of the latest run.",
    )
    verify, prune = _add_mirror_commands(commands)
    for reading in (results, report, datasets, verify, prune):
        reading.add_argument("--destination", metavar="D", help="default: $IMGRELAY_DESTINATION, or the folder out")
        if reading is not report:
            reading.add_argument("--json", action="store_true", help="one JSON object per line")
        reading.epilog = "Exit codes: 0 success, 2 wrong usage, or the dataset, run or destination does not exist."
    _add_adjust_command(commands)
    _add_template_command(commands)
    return parser


def _add_mirror_commands(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> list[argparse.ArgumentParser]:
    """Add `verify` and `prune`, which compare a destination with its records."""
    verify = commands.add_parser(
        "verify",
        help="compare the stored images with what the receipts say",
        description="List the destination and compare it with the dataset's receipts: images that are missing or "
        "have another size. Exit code 1 if there are any.",
    )
    verify.add_argument("--read", action="store_true", help="also read every image and compare its SHA-256")
    prune = commands.add_parser(
        "prune",
        help="delete images whose lines have left the manifest",
        description="Delete the images that a dataset stored and whose lines are no longer in the manifest, which is "
        "that of the latest run. Images that another dataset stored too are kept.",
    )
    prune.add_argument("--run", metavar="ID", help="the run whose lines count; default: the latest of a whole manifest")
    prune.add_argument("--dry-run", action="store_true", help="only list the images")
    prune.add_argument("--yes", action="store_true", help="delete without a question")
    for command in (verify, prune):
        command.add_argument("--dataset", metavar="N", help="dataset name; not needed if there is only one")
    return [verify, prune]


def _add_adjust_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    adjust = commands.add_parser(
        "adjust",
        help="change a run while it is under way",
        description="Change a run of this Dagster instance (DAGSTER_HOME) while it is under way. Its steps take it up "
        "within three seconds. Earlier adjustments stay unless they are given again.",
        epilog="Exit codes: 0 success, 2 wrong usage, or there is no such run.",
    )
    adjust.add_argument("run", metavar="RUN", help="a run ID or the beginning of one")
    adjust.add_argument(
        "--max-requests-per-second", metavar="R", help="requests per second to one host, of the whole run"
    )
    adjust.add_argument("--threads", metavar="N", help="concurrent downloads in each download step, at most")
    adjust.add_argument("--tolerated-failure-percentage", metavar="P", help="percentage of entries that may fail")
    pause = adjust.add_mutually_exclusive_group()
    pause.add_argument(
        "--pause", dest="paused", action="store_true", default=None, help="start no download; finish what is under way"
    )
    pause.add_argument("--resume", dest="paused", action="store_false", default=None, help="start downloads again")
    adjust.add_argument("--reset", action="store_true", help="withdraw all earlier adjustments")


def _add_template_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    template = commands.add_parser("template", help="look at a template", description="Look at a template.")
    actions = template.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser(
        "show",
        help="draw a template and its window",
        description="Draw a template, with a line around the window that images are fitted to, and print the window as "
        "it is written in layout.",
        epilog="Exit codes: 0 success, 2 the template, the window or the file cannot be used.",
    )
    show.add_argument("name", metavar="NAME", help="a name in the template folder, or a path")
    show.add_argument("--out", metavar="FILE", required=True, help="the picture to write, such as window.png")
    show.add_argument(
        "--window",
        metavar="X,Y,WIDTH,HEIGHT",
        default="auto",
        help="in pixels (40) or percent of the template (12.5%%); default: auto, the largest hole",
    )


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
        return _run_command(arguments) if arguments.command == "run" else _reading_command(arguments)
    except KeyboardInterrupt:  # also before ShutdownSignals has installed its handlers
        _print_error("imgrelay: canceled")
        return CANCELED


def _run_command(arguments: argparse.Namespace) -> int:
    with ShutdownSignals() as signals:
        try:
            return _launch_run(run_config(arguments), signals, as_json=arguments.json)
        except UsageError as error:
            _print_error(f"imgrelay: {redact_text(str(error))}")
            return WRONG_USAGE
        except KeyboardInterrupt:
            _print_error("imgrelay: canceled before the run began")
            return CANCELED


def _reading_command(arguments: argparse.Namespace) -> int:
    if arguments.command == "adjust":  # the only one of these commands that needs Dagster
        from imgrelay_dagster.commands.adjust import adjust  # noqa: PLC0415 - as below

        return adjust(arguments)
    from imgrelay_dagster.commands.datasets import datasets  # noqa: PLC0415 - as below
    from imgrelay_dagster.commands.mirror import prune_command, verify  # noqa: PLC0415
    from imgrelay_dagster.commands.report import report  # noqa: PLC0415
    from imgrelay_dagster.commands.results import results  # noqa: PLC0415
    from imgrelay_dagster.commands.template import template_command  # noqa: PLC0415

    commands = {
        "results": results,
        "report": report,
        "datasets": datasets,
        "verify": verify,
        "prune": prune_command,
        "template": template_command,
    }
    return commands[arguments.command](arguments)


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
            _allow_local_paths(config)
            with loading():
                from imgrelay_dagster.commands.launch import launch  # noqa: PLC0415
                from imgrelay_dagster.commands.preflight import check_run_config  # noqa: PLC0415
                from imgrelay_dagster.dagster_patches.resolved_config import (  # noqa: PLC0415
                    patch_resolved_config,
                    prepare_resolved_config,
                )
                from imgrelay_dagster.dagster_patches.sqlite_storage import patch_sqlite_storage  # noqa: PLC0415
                from imgrelay_dagster.definitions import relay_job  # noqa: PLC0415
                from imgrelay_dagster.forkserver.server import step_server  # noqa: PLC0415

                patch_sqlite_storage()
                patch_resolved_config()
            checked = check_run_config(config)
            if checked.dry_run:
                from imgrelay_dagster.commands.dry_run import dry_run  # noqa: PLC0415

                return dry_run(checked, console)
            prepare_resolved_config(relay_job(), checked.model_dump())
            with step_server(console.draw_lock):
                result = launch(checked, home, signals, console)
    except RelayError as error:
        raise UsageError(_with_given_names(str(error), given)) from error
    for message in result.errors:
        console.error(_with_given_names(message, given))
    if result.summary is not None:
        console.summary(result.summary, result.destination)
    return result.code


def _with_given_names(message: str, given: dict[str, Any]) -> str:
    """The message with paths as the user wrote them, in place of the absolute paths that a run works with."""
    from imgrelay_dagster.relay.errors import RelayError  # noqa: PLC0415
    from imgrelay_dagster.relay.storage.addresses import absolute  # noqa: PLC0415

    for name in ("manifest", "destination"):
        if isinstance(path := given.get(name), str):
            with suppress(RelayError):  # the message is about a path that is not valid
                message = message.replace(f"{name} {absolute(path)!r}", f"{name} {path!r}")
    if isinstance(template := given.get("template"), str):
        message = message.replace(f"template {Path(template).name!r}", f"template {template!r}")
    return message


def _allow_local_paths(config: dict[str, Any]) -> None:
    """Allow the run to use the local paths in its config. A template given by its path becomes a template name."""
    from imgrelay_dagster.config.allowed_paths import allow_arguments, allow_template  # noqa: PLC0415

    template = config.get("template")
    if isinstance(template, str) and "://" in template:
        raise UsageError(f"template {redact(template)!r} is a URL; give a name in the template folder, or a local path")
    if isinstance(template, str):
        config["template"] = allow_template(template)
    allow_arguments(config[name] for name in ("manifest", "destination") if isinstance(config.get(name), str))


def run_config(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the run config: the fields of the config file, overridden by the command-line options.

    Raises:
        UsageError: the config file cannot be read, or no source of URLs is given.
    """
    config = _read_config_file(Path(arguments.config)) if arguments.config else {}
    if arguments.urls or arguments.manifest:
        for source in ("urls", "url_lines", "manifest"):
            config.pop(source, None)
    simple_fields = (
        "urls", "manifest", "profile", "template", "destination", "dataset", "key", "tolerated_failure_percentage",
        "urls_per_task", "max_concurrent", "refresh", "retry_permanent", "retry_reasons", "carry",
        "dry_run", "sample", "recheck",
    )  # fmt: skip
    config.update({name: value for name in simple_fields if (value := getattr(arguments, name)) not in (None, [])})
    output = {name: value for name in ("format", "quality") if (value := getattr(arguments, name)) is not None}
    if output:
        given = config.get("output") or {}
        if not isinstance(given, dict):
            raise UsageError(f"config file {arguments.config!r}: output must be a mapping, not {given!r}")
        config["output"] = {**given, **output}
    if arguments.columns:
        given = config.get("columns") or {}
        if not isinstance(given, dict):
            raise UsageError(f"config file {arguments.config!r}: columns must be a mapping, not {given!r}")
        config["columns"] = {**given, **dict(arguments.columns)}
    if not any(config.get(source) for source in ("urls", "url_lines", "manifest")):
        raise UsageError("nothing to relay: give --manifest FILE or URLs (see imgrelay run --help)")
    return config


def _read_config_file(path: Path) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - only needed with --config

    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"config file {str(path)!r} cannot be read: {error}") from error
    except yaml.YAMLError as error:  # its own text quotes the line, which may hold a signed URL
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, character {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "cannot be parsed"
        raise UsageError(f"config file {str(path)!r}{where} is not valid YAML: {problem}") from None
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise UsageError(f"config file {str(path)!r} is not a mapping of fields; see docs/configuration.md")
    return config


if __name__ == "__main__":
    program()
