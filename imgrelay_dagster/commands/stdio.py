"""Prepares the three standard streams, which may be closed or unable to encode every character."""

import codecs
import io
import os
import sys

ESCAPED = "imgrelay.escaped"
"""Name of the error handler that writes an unencodable character as a JSON escape, so that a JSON line stays valid."""


def prepare_streams() -> None:
    """Make the streams usable, so that a successful run does not fail while it prints its summary."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed: otherwise the next opened file would get this descriptor
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115 - open until the process ends
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    codecs.register_error(ESCAPED, _json_escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPED)


def _json_escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)), error.end
