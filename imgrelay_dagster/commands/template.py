"""`imgrelay template show`: draws a template and the window that images are fitted to."""

import argparse
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

from imgrelay_dagster.commands.exit_codes import SUCCESS, WRONG_USAGE
from imgrelay_dagster.commands.tables import print_message
from imgrelay_dagster.config.allowed_paths import allow_template
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.imaging.template import Template
from imgrelay_dagster.relay.imaging.window import AUTO, parse_window
from imgrelay_dagster.relay.imaging.window_picture import draw_window
from imgrelay_dagster.relay.planning.found_windows import FoundWindows
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.resources import TemplatesResource, build_resources

_SIDES = ("x", "y", "width", "height")


def template_command(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    try:
        _show(arguments)
    except RelayError as error:
        print_message(str(error))
        return WRONG_USAGE
    return SUCCESS


def _show(arguments: argparse.Namespace) -> None:
    """Write the picture, and print the window as it is written in a run config.

    Raises:
        RelayError: the template, the window or the file cannot be used.
    """
    template = _load(arguments.name)
    given, values = arguments.window, arguments.window.split(",")
    window = parse_window(dict(zip(_SIDES, values, strict=True)) if len(values) == len(_SIDES) else given)
    box = left, top, right, bottom = template.window(window)
    _write(template, box, Path(arguments.out))
    found = zip(_SIDES, (left, top, right - left, bottom - top), strict=True)
    sys.stdout.write(f"window: {{{', '.join(f'{side}: {value}' for side, value in found)}}}\n")
    if given == AUTO and box == (0, 0, *template.size):
        print_message(f"template {arguments.name!r} has no hole; its window is all of it")


def _load(name: str) -> Template:
    name = allow_template(name)
    templates = build_resources()["templates"]
    assert isinstance(templates, TemplatesResource)
    return templates.open().load(name)


def _write(template: Template, box: tuple[int, int, int, int], target: Path) -> None:
    try:
        if target.is_file() and hashlib.sha256(target.read_bytes()).hexdigest() == template.digest:
            raise RelayError(f"{str(target)!r} is the template itself; give another file with --out")
        draw_window(template.image, box).save(target)
    except ValueError:  # Pillow finds the format by the extension
        raise RelayError(f"{str(target)!r} has no extension of a picture; write a name such as window.png") from None
    except OSError as error:
        raise RelayError(f"{str(target)!r} cannot be written: {error.strerror or error}") from error


def tell_window(settings: Settings, tell: Callable[[str], None]) -> None:
    """Tell which window `layout.window: auto` finds in the run's template; the run's log has those of all templates."""
    if settings.layout.window != AUTO:
        return
    templates = build_resources()["templates"]
    assert isinstance(templates, TemplatesResource)
    if not templates.is_remote:  # a store may take seconds to answer
        FoundWindows(settings.layout, tell, tell).note(templates.open().load(settings.template))
