"""From a manifest's bytes to its numbered lines, in flat memory whatever the bytes are."""

import gzip
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Protocol, cast

from imgrelay_dagster.relay.errors import RelayError

MAX_LINE = 64 * 1024
"""Bytes in one line, its end not counted."""

_CHUNK = 64 * 1024
_FOREIGN_STARTS = (
    (b"\xff\xfe", "is UTF-16 text; save it as UTF-8"),
    (b"\xfe\xff", "is UTF-16 text; save it as UTF-8"),
    (b"\x1f\x8b", "is gzip inside; let its name end in .gz, or unpack it"),
    (b"PK\x03\x04", "is a zip archive or a spreadsheet; export it as CSV, or pack it with gzip"),
)


class Line(NamedTuple):
    """One physical line without its end. `whole` is False when it is over the bound and was cut to it."""

    number: int
    text: str
    whole: bool


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def physical_lines(stream: BinaryIO, name: str, *, packed: bool) -> Iterator[Line]:
    r"""Yield the lines of `stream`, UTF-8 with or without a byte-order mark, from `gzip` where `packed`.

    A line ends at `\n`, `\r\n` or a lone `\r` (old Mac), as in Python's universal newlines and in VS Code.
    Needs nothing of the stream but `read(size)`; what that raises passes through.

    Raises:
        RelayError: while being iterated, when the bytes are not UTF-8 or not whole gzip; names the line.
    """
    source: _Readable = _Plain(stream)
    if packed:
        source = _Gzip(source, name)
    for number, piece in enumerate(_pieces(source), 1):
        if number == 1:
            _refuse_foreign(piece, name)
        whole = len(piece) <= MAX_LINE
        text = _decode(piece, number, name) if whole else piece[:MAX_LINE].decode(errors="replace")
        yield Line(number, text.removeprefix("\ufeff") if number == 1 else text, whole)


def _pieces(source: _Readable) -> Iterator[bytes]:
    """Cut bytes at line ends. Of a line over the bound, only its first `MAX_LINE` + 1 bytes are kept."""
    tail = b""
    while chunk := source.read(_CHUNK):
        pieces = (tail + chunk).splitlines(keepends=True)
        # A final \r may be the first half of \r\n, so only \n shows that the last piece is complete.
        tail = b"" if pieces[-1].endswith(b"\n") else pieces.pop()
        for piece in pieces:
            yield piece.rstrip(b"\r\n")
        if len(tail) > MAX_LINE:
            tail = tail[: MAX_LINE + 1].rstrip(b"\r") + (b"\r" if tail.endswith(b"\r") else b"")
    if tail:
        yield tail.rstrip(b"\r")


def _decode(piece: bytes, number: int, name: str) -> str:
    try:
        return piece.decode()
    except UnicodeDecodeError as error:
        raise RelayError(
            f"manifest {name!r} is not UTF-8: line {number}, byte {error.start + 1} of that line, is "
            f"0x{piece[error.start]:02x}; save it as UTF-8"
        ) from None


def _refuse_foreign(first: bytes, name: str) -> None:
    """Say what a file is that is not UTF-8 text, where its first line shows it."""
    for start, what in _FOREIGN_STARTS:
        if first.startswith(start):
            raise RelayError(f"manifest {name!r} {what}")
    halves = first[:8:2], first[1:8:2]
    if len(first) >= 6 and any(not any(half) and all(other) for half, other in (halves, halves[::-1])):
        raise RelayError(f"manifest {name!r} looks like UTF-16 text; save it as UTF-8")


class _Plain:
    """Gives `bytes` from streams that read other buffers, such as obstore's `ReadableFile`."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        return bytes(self._stream.read(size))


class _Gzip:
    """Unpacks as it reads, never more than `size` bytes at once, and says plainly what is broken."""

    def __init__(self, packed: _Readable, name: str) -> None:
        self._file = gzip.GzipFile(fileobj=cast(BinaryIO, packed), mode="rb")
        self._name = name

    def read(self, size: int, /) -> bytes:
        try:
            return self._file.read(size)
        except EOFError:
            what = "is cut short: its gzip data ends too early; copy it again"
        except (gzip.BadGzipFile, zlib.error):
            what = "is not sound gzip; pack it again, or drop .gz from its name if it is not packed"
        raise RelayError(f"manifest {self._name!r} {what}")
