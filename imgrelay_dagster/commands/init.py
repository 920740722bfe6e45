"""`imgrelay init`: sets up a folder with the files of a Dagster instance for one machine, and with the templates."""

import argparse
import shutil
import sys
from pathlib import Path

from imgrelay_dagster.commands.exit_codes import SUCCESS, WRONG_USAGE
from imgrelay_dagster.commands.tables import print_message
from imgrelay_dagster.relay.imaging.template_folder import SHIPPED_FOLDER

INSTANCE_FOLDER = Path(__file__).parents[1] / "instance"
"""The files of an instance. Those in the root of a checkout are links to them."""

_NEXT_STEPS = """\
Next, in this folder:
  export IMGRELAY_TEMPLATES={folder}/templates
  imgrelay run --manifest images.csv --template frame.png --destination out
  imgrelay dev
"""


def init(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    folder = Path(arguments.folder)
    try:
        for source, target in _files(folder.resolve()):
            sys.stdout.write(f"{_write(source, target)} {target}\n")
    except OSError as error:
        print_message(f"{arguments.folder!r} cannot be set up: {error.strerror}: {error.filename}")
        return WRONG_USAGE
    sys.stdout.write(_NEXT_STEPS.format(folder=folder.resolve()))
    return SUCCESS


def _files(folder: Path) -> list[tuple[Path, Path]]:
    """Every file to write, with the file that it is a copy of."""
    instance = [(INSTANCE_FOLDER / name, folder / name) for name in ("dagster.yaml", "workspace.yaml")]
    return [*instance, *((each, folder / "templates" / each.name) for each in sorted(SHIPPED_FOLDER.glob("*.png")))]


def _write(source: Path, target: Path) -> str:
    """Copy the file unless it exists; a copy that is cut off by a kill leaves no file under that name."""
    if target.exists():
        return "kept   "
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    shutil.copyfile(source, part)
    part.rename(target)
    return "written"
