"""Split a manifest's text into numbered lines, in constant memory for any input."""

from collections.abc import Iterator
from typing import NamedTuple

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.content import CHUNK, Readable

MAX_LINE = 64 * 1024
"""Bytes in one line, without its line ending."""


class Line(NamedTuple):
    """One physical line without its ending. `complete` is False when it exceeds `MAX_LINE` and was truncated."""

    number: int
    text: str
    complete: bool


def physical_lines(source: Readable, name: str) -> Iterator[Line]:
    r"""Yield the lines of a UTF-8 text with or without a byte-order mark.

    A line ends at `\n`, `\r\n` or a lone `\r` (old Mac), as in Python's universal newlines and in VS Code.

    Raises:
        RelayError: while being iterated, when the bytes are not UTF-8 (it names the line).
    """
    for number, line in enumerate(_split_lines(source), 1):
        complete = len(line) <= MAX_LINE
        text = _decode(line, number, name) if complete else line[:MAX_LINE].decode(errors="replace")
        yield Line(number, text.removeprefix("\ufeff") if number == 1 else text, complete)


def _split_lines(source: Readable) -> Iterator[bytes]:
    """Split bytes at line endings. Of a line that exceeds `MAX_LINE`, only the first `MAX_LINE` + 1 bytes are kept."""
    tail = b""
    while chunk := source.read(CHUNK):
        lines = (tail + chunk).splitlines(keepends=True)
        # A final \r may be the first half of \r\n, so only \n shows that the last line is complete.
        tail = b"" if lines[-1].endswith(b"\n") else lines.pop()
        for line in lines:
            yield line.rstrip(b"\r\n")
        if len(tail) > MAX_LINE:
            tail = tail[: MAX_LINE + 1].rstrip(b"\r") + (b"\r" if tail.endswith(b"\r") else b"")
    if tail:
        yield tail.rstrip(b"\r")


def _decode(line: bytes, number: int, name: str) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise RelayError(
            f"manifest {name!r} is not UTF-8: line {number}, byte {error.start + 1} of that line, is "
            f"0x{line[error.start]:02x}; save it as UTF-8, or name its encoding with columns.encoding, such as cp1252"
        ) from None
