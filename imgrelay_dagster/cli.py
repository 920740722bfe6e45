"""The command `imgrelay`: arguments in, exit code out. What a run does is in `launch.py`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from imgrelay_dagster import __version__

SUCCESS, FAILED, WRONG_USAGE, CANCELED = 0, 1, 2, 130


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
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    try:
        form = run_form(arguments)
    except UsageError as error:
        sys.stderr.write(f"imgrelay: {error}\n")
        return WRONG_USAGE
    from imgrelay_dagster.launch import launch  # noqa: PLC0415 - Dagster takes two seconds; --help does not wait

    return launch(form, as_json=arguments.json)


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
        form["output"] = {**(form.get("output") or {}), **output}
    if not any(form.get(source) for source in ("urls", "url_lines", "manifest")):
        raise UsageError("nothing to relay: give --manifest FILE or URLs (see imgrelay run --help)")
    return form


def _config_file(path: Path) -> dict[str, Any]:
    try:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"config file {str(path)!r} cannot be read: {' '.join(str(error).split())}") from error
    if form is None:
        return {}
    if not isinstance(form, dict):
        raise UsageError(f"config file {str(path)!r} is no mapping of fields; see docs/configuration.md")
    return form


if __name__ == "__main__":
    sys.exit(main())
