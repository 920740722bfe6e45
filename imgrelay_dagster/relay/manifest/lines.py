"""Split a manifest's bytes into numbered lines, in constant memory for any input."""

import gzip
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Protocol, cast

from imgrelay_dagster.relay.errors import RelayError

MAX_LINE = 64 * 1024
"""Bytes in one line, without its line ending."""

_CHUNK = 64 * 1024
_FOREIGN_SIGNATURES = (
    (b"\xff\xfe", "is UTF-16 text; save it as UTF-8"),
    (b"\xfe\xff", "is UTF-16 text; save it as UTF-8"),
    (b"\x1f\x8b", "is gzip data; let its name end in .gz, or decompress it"),
    (b"PK\x03\x04", "is a zip archive or a spreadsheet; export it as CSV, or compress it with gzip"),
)


class Line(NamedTuple):
    """One physical line without its ending. `complete` is False when it exceeds `MAX_LINE` and was truncated."""

    number: int
    text: str
    complete: bool


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def physical_lines(stream: BinaryIO, name: str, *, compressed: bool) -> Iterator[Line]:
    r"""Yield the lines of a UTF-8 stream with or without a byte-order mark; `compressed` means gzip.

    A line ends at `\n`, `\r\n` or a lone `\r` (old Mac), as in Python's universal newlines and in VS Code.
    Only `read(size)` of the stream is used; its exceptions are not caught.

    Raises:
        RelayError: while being iterated, when the bytes are not UTF-8 (it names the line) or not complete gzip.
    """
    source: _Readable = _PlainReader(stream)
    if compressed:
        source = _GzipReader(source, name)
    for number, line in enumerate(_split_lines(source), 1):
        if number == 1:
            _check_encoding(line, name)
        complete = len(line) <= MAX_LINE
        text = _decode(line, number, name) if complete else line[:MAX_LINE].decode(errors="replace")
        yield Line(number, text.removeprefix("\ufeff") if number == 1 else text, complete)


def _split_lines(source: _Readable) -> Iterator[bytes]:
    """Split bytes at line endings. Of a line that exceeds `MAX_LINE`, only the first `MAX_LINE` + 1 bytes are kept."""
    tail = b""
    while chunk := source.read(_CHUNK):
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
            f"0x{line[error.start]:02x}; save it as UTF-8"
        ) from None


def _check_encoding(first: bytes, name: str) -> None:
    """Raise RelayError when the first line shows that the file is UTF-16 text or a compressed file."""
    for signature, problem in _FOREIGN_SIGNATURES:
        if first.startswith(signature):
            raise RelayError(f"manifest {name!r} {problem}")
    halves = first[:8:2], first[1:8:2]
    if len(first) >= 6 and any(not any(half) and all(other) for half, other in (halves, halves[::-1])):
        raise RelayError(f"manifest {name!r} looks like UTF-16 text; save it as UTF-8")


class _PlainReader:
    """Converts to `bytes` what a stream such as obstore's `ReadableFile` returns as another buffer type."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        return bytes(self._stream.read(size))


class _GzipReader:
    """Decompresses while reading, never more than `size` bytes at once; raises RelayError for invalid data."""

    def __init__(self, compressed: _Readable, name: str) -> None:
        self._file = gzip.GzipFile(fileobj=cast(BinaryIO, compressed), mode="rb")
        self._name = name

    def read(self, size: int, /) -> bytes:
        try:
            return self._file.read(size)
        except EOFError:
            problem = "is cut short: its gzip data ends too early; copy it again"
        except (gzip.BadGzipFile, zlib.error):
            problem = "is not valid gzip; compress it again, or remove .gz from its name if it is not compressed"
        raise RelayError(f"manifest {self._name!r} {problem}")
