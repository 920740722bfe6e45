"""The arguments of the command `imgrelay`."""

import argparse
from typing import Any

from imgrelay_dagster import __version__
from imgrelay_dagster.commands.instance_arguments import add_instance_commands
from imgrelay_dagster.relay.outcomes import Reason

_FORMATS = ("jpeg", "png", "webp", "avif", "source")


def _column(text: str) -> tuple[str, Any]:
    """Parse an argument of `--column`."""
    field, equals, name = text.partition("=")
    if not equals or not field.strip():
        raise argparse.ArgumentTypeError(f'{text!r} is not FIELD=NAME, such as url="Image Src"')
    value: Any = name.replace("\\n", "\n").replace("\\t", "\t") if field == "split" else name
    return field.strip(), {"true": True, "false": False}.get(name, value) if field == "skip_empty" else value


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parser = argparse.ArgumentParser(
        prog="imgrelay", description="Download images, lay a template over each, store the results."
    )
    parser.add_argument("--version", action="version", version=f"imgrelay {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run_command(commands)
    _add_reading_commands(commands)
    _add_runs_command(commands)
    _add_adjust_command(commands)
    _add_template_command(commands)
    add_instance_commands(commands)
    return parser


def _add_run_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
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


def _add_reading_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
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


def _add_runs_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    runs = commands.add_parser(
        "runs",
        help="list the runs of the Dagster instance",
        description="List the runs of this Dagster instance (DAGSTER_HOME), newest first: as a table on a terminal, as "
        "tab-separated columns in a pipe.",
        epilog="Exit codes: 0 success, 2 wrong usage, or the instance cannot be used.",
    )
    runs.add_argument("--dataset", metavar="N", help="only runs of this dataset")
    runs.add_argument("--limit", metavar="N", type=int, default=20, help="at most so many runs; default: 20")
    runs.add_argument("--json", action="store_true", help="one JSON object per line")


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
