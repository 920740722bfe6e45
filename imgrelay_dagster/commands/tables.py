"""What `imgrelay results` and `imgrelay datasets` share: opening the destination, and printing a table."""

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from obstore.store import ObjectStore

from imgrelay_dagster.commands.exit_codes import SUCCESS, WRONG_USAGE
from imgrelay_dagster.config import environment
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.redact import printable, redact_text
from imgrelay_dagster.relay.storage.addresses import absolute, is_remote
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE
from imgrelay_dagster.relay.storage.stores import open_store

STYLES = {"uploaded": "32", "success": "32", "failed": "31", "failure": "31", "canceled": "33", "not_attempted": "33"}
"""Cell values that are coloured on a terminal, with their SGR parameters (ECMA-48)."""


def run_reading_command(
    show: Callable[[argparse.Namespace, ObjectStore, str], None], arguments: argparse.Namespace
) -> int:
    """Open the destination and call `show` with the arguments, the store and the destination's address.

    If the reader of a pipe is gone (`| head`), the command ends without an error.

    Returns:
        The exit code: 0, or 2 if the requested dataset, run or destination does not exist.
    """
    try:
        address = absolute(arguments.destination or environment.DESTINATION.get())
        show(arguments, _open_destination(address), address)
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes the stream again when it exits; that must not raise.
        with open(os.devnull, "w") as null:  # noqa: PTH123
            os.dup2(null.fileno(), sys.stdout.fileno())
    except RelayError as error:
        print_message(str(error))
        return WRONG_USAGE
    return SUCCESS


def print_message(message: str) -> None:
    """Print one line for the user to standard error."""
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.write(f"imgrelay: {redact_text(message)}\n")
        sys.stderr.flush()


def _open_destination(address: str) -> ObjectStore:
    """Open the destination's store.

    Raises:
        RelayError: it cannot be opened, or it is a folder that does not exist.
    """
    if is_remote(address):
        # Dagster's resources hold the S3 settings, but take two seconds to import: a folder is opened without them.
        from imgrelay_dagster.resources import build_stores  # noqa: PLC0415

        stores = build_stores()
        return stores.open(address, INTERACTIVE)
    if not Path(address).is_dir():
        raise RelayError(f"destination {address!r} does not exist; give another one with --destination")
    return open_store(address, None, INTERACTIVE)


MIN_FLEXIBLE_WIDTH = 24
"""Minimum width in characters of a column without a fixed width. Columns that would be narrower are left out."""


class Table:
    """Prints rows: on a terminal, in columns cut to its width; in a pipe, in full and separated by tabs.

    Args:
        widths: widths of the first columns, in characters. The other columns share the remaining width.
    """

    def __init__(self, headings: Sequence[str], widths: Sequence[int]) -> None:
        self._terminal = sys.stdout.isatty()
        remaining = shutil.get_terminal_size().columns - sum(width + 2 for width in widths)
        flexible = len(headings) - len(widths)
        while flexible > 1 and remaining // flexible < MIN_FLEXIBLE_WIDTH:
            flexible -= 1
        self._widths = (*widths, *(max(8, remaining // flexible - 2) for _ in range(flexible)))
        if self._terminal:
            self._write(headings, lambda text: f"\x1b[2m{text}\x1b[0m")

    def row(self, *cells: str) -> None:
        """Print one row."""
        self._write([printable(cell) for cell in cells], _coloured)

    def _write(self, cells: Sequence[str], style: Callable[[str], str]) -> None:
        if not self._terminal:
            sys.stdout.write("\t".join(cells) + "\n")
            return
        cut = [(_cut(cell, width), width) for cell, width in zip(cells, self._widths, strict=False)]
        sys.stdout.write("  ".join(style(text) + " " * (width - len(text)) for text, width in cut).rstrip() + "\n")


def _cut(text: str, width: int) -> str:
    """Shorten the text to `width` characters. A URL keeps its end, which distinguishes it from other URLs."""
    if len(text) <= width:
        return text
    if "://" in text:
        return f"…{text[1 - width :]}"
    return f"{text[: width - 1]}…"


def _coloured(text: str) -> str:
    style = STYLES.get(text)
    return f"\x1b[{style}m{text}\x1b[0m" if style else text
