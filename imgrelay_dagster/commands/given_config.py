"""The run config that a user gives on the command line: from a config file and options, with paths of this machine."""

import argparse
from contextlib import suppress
from pathlib import Path
from typing import Any

from imgrelay_dagster.relay.redact import redact


class UsageError(Exception):
    """The user's input cannot be used. The message says which input, and how to correct it."""


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


def with_given_names(message: str, given: dict[str, Any]) -> str:
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


def allow_local_paths(config: dict[str, Any]) -> None:
    """Allow the run to use the local paths in its config. A template given by its path becomes a template name."""
    from imgrelay_dagster.config.allowed_paths import allow_arguments, allow_template  # noqa: PLC0415

    template = config.get("template")
    if isinstance(template, str) and "://" in template:
        raise UsageError(f"template {redact(template)!r} is a URL; give a name in the template folder, or a local path")
    if isinstance(template, str):
        config["template"] = allow_template(template)
    allow_arguments(config[name] for name in ("manifest", "destination") if isinstance(config.get(name), str))
