"""What the commands that look share: which destination, and lines that go to a terminal or down a pipe."""

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from obstore.store import ObjectStore

from imgrelay_dagster.commands.exit_codes import SUCCESS, WRONG_USAGE
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.redact import printable, redact_text
from imgrelay_dagster.relay.storage.stores import INTERACTIVE, absolute, is_remote, open_store

STYLES = {"uploaded": "32", "success": "32", "failed": "31", "failure": "31", "canceled": "33", "not_attempted": "33"}
"""Words that stand out on a terminal, and their colours (ECMA-48)."""


def looked(look: Callable[[argparse.Namespace, ObjectStore, str], None], arguments: argparse.Namespace) -> int:
    """The command's exit code: 0, 2 when it was asked for what is not there, 130 after Ctrl-C.

    Where nobody reads the output any more (`| head`) it ends without a word.
    """
    try:
        address = absolute(arguments.destination or os.environ.get("IMGRELAY_DESTINATION") or "out")
        look(arguments, _opened(address), address)
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes once again at its end, and must not stumble then.
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
    except RelayError as error:
        say(str(error))
        return WRONG_USAGE
    return SUCCESS


def say(message: str) -> None:
    """One line for people, beside the output."""
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.write(f"imgrelay: {redact_text(message)}\n")
        sys.stderr.flush()


def _opened(address: str) -> ObjectStore:
    """The destination's store.

    Raises:
        RelayError: it cannot be opened, or is a folder that is not there.
    """
    if is_remote(address):
        # S3 is set up in Dagster's resources, which take two seconds to load: a folder is looked at without them.
        from imgrelay_dagster.resources import StoresResource, build_resources  # noqa: PLC0415

        stores = build_resources()["stores"]
        assert isinstance(stores, StoresResource)
        return stores.open(address, INTERACTIVE)
    if not Path(address).is_dir():
        raise RelayError(f"destination {address!r} is not there; name another by --destination")
    return open_store(address, None, INTERACTIVE)


NARROWEST = 24
"""Characters of a column that takes what room is left; with less it is left out."""


class Lines:
    """Rows of text: in columns cut to the width of a terminal, or whole and separated by tabs down a pipe.

    Args:
        widths: of the first columns; those after them share what room is left.
    """

    def __init__(self, headings: Sequence[str], widths: Sequence[int]) -> None:
        self._terminal = sys.stdout.isatty()
        room = shutil.get_terminal_size().columns - sum(width + 2 for width in widths)
        rest = len(headings) - len(widths)
        while rest > 1 and room // rest < NARROWEST:
            rest -= 1
        self._widths = (*widths, *(max(8, room // rest - 2) for _ in range(rest)))
        if self._terminal:
            self._write(headings, lambda text: f"\x1b[2m{text}\x1b[0m")

    def row(self, *cells: str) -> None:
        """Write one row."""
        self._write([printable(cell) for cell in cells], _coloured)

    def _write(self, cells: Sequence[str], style: Callable[[str], str]) -> None:
        if not self._terminal:
            sys.stdout.write("\t".join(cells) + "\n")
            return
        cut = [(_cut(cell, width), width) for cell, width in zip(cells, self._widths, strict=False)]
        sys.stdout.write("  ".join(style(text) + " " * (width - len(text)) for text, width in cut).rstrip() + "\n")


def _cut(text: str, width: int) -> str:
    """The text in so many characters; a URL keeps its end, which tells it from others."""
    if len(text) <= width:
        return text
    if "://" in text:
        return f"…{text[1 - width :]}"
    return f"{text[: width - 1]}…"


def _coloured(text: str) -> str:
    style = STYLES.get(text)
    return f"\x1b[{style}m{text}\x1b[0m" if style else text
