"""The bytes of a manifest in a text format, decompressed and as UTF-8, in constant memory for any input."""

import codecs
import gzip
import sys
import zlib
from collections.abc import Callable
from typing import BinaryIO, Protocol, cast

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.signatures import LONGEST, true_name

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CHUNK = 64 * 1024
"""Bytes that are read at once."""

_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Readable(Protocol):
    """Returns at most `size` bytes, and none at the end."""

    def read(self, size: int, /) -> bytes: ...


def utf8_content(stream: BinaryIO, name: str, *, compression: str, encoding: str | None) -> Readable:
    """The content of a text file as UTF-8.

    Only `read(size)` of the stream is used; its exceptions are not caught.

    Args:
        compression: `.gz`, `.zst` or "".
        encoding: the encoding that the user named; None means UTF-8, or UTF-16 with a byte-order mark.

    Raises:
        RelayError: when the content is read, if it is not what its name says: not compressed, no text, another
            encoding.
    """
    source: Readable = _PlainReader(stream)
    if compression:
        source = _Decompressor(source, name, compression)
    return _Utf8Reader(source, name, encoding)


def check_encoding(encoding: str) -> None:
    """Check that Python knows an encoding of text under this name.

    Raises:
        RelayError: it does not.
    """
    try:
        known = "".encode(encoding) is not None
    except (LookupError, ValueError):
        known = False
    if not known:
        raise RelayError(f"columns.encoding {encoding!r} is not a known encoding; examples are cp1252 and shift_jis")


class _PlainReader:
    """Converts to `bytes` what a stream such as obstore's `ReadableFile` returns as another buffer type."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        return bytes(self._stream.read(size))


class _Decompressor:
    """Decompresses while reading, never more than `size` bytes at once; raises RelayError for invalid data."""

    def __init__(self, compressed: Readable, name: str, compression: str) -> None:
        source = cast(BinaryIO, compressed)
        self._file: Readable = (
            gzip.GzipFile(fileobj=source, mode="rb") if compression == ".gz" else zstd.ZstdFile(source)
        )
        self._name, self._suffix = name, compression
        self._kind = "gzip" if compression == ".gz" else "zstd"

    def read(self, size: int, /) -> bytes:
        try:
            return self._file.read(size)
        except EOFError:
            problem = f"is cut short: its {self._kind} data ends too early; copy it again"
        except (gzip.BadGzipFile, zlib.error, zstd.ZstdError):
            problem = (
                f"is not valid {self._kind}; compress it again, or remove {self._suffix} from its name if it is not "
                "compressed"
            )
        raise RelayError(f"manifest {self._name!r} {problem}")


class _Utf8Reader:
    """Converts text to UTF-8, and refuses files that are something else."""

    def __init__(self, source: Readable, name: str, encoding: str | None) -> None:
        self._source, self._name, self._encoding = source, name, encoding
        self._start: bytes | None = None
        self._decode: Callable[[bytes, bool], str] | None = None
        self._lines = 0

    def read(self, size: int, /) -> bytes:
        if self._start is None:
            self._start = self._inspect()
        data, self._start = (self._start, b"") if self._start else (self._source.read(size), b"")
        if self._decode is None:
            return data
        while True:
            converted = self._convert(data)
            if converted or not data:
                return converted
            data = self._source.read(size)  # so far only a part of a character

    def _inspect(self) -> bytes:
        """Read the first bytes, and choose the decoder by them."""
        start = b""
        while len(start) < LONGEST and (more := self._source.read(LONGEST - len(start))):
            start += more
        problem = true_name(start)
        if problem is not None:
            raise RelayError(f"manifest {self._name!r} {problem}")
        if start.startswith(_UTF_16_MARKS):
            self._encoding = "utf-16"
        elif start.startswith(codecs.BOM_UTF8):
            self._encoding = None
        elif self._encoding is None and _looks_like_utf_16(start):
            raise RelayError(f"manifest {self._name!r} looks like UTF-16 text without a mark; save it as UTF-8")
        if self._encoding is not None and codecs.lookup(self._encoding).name != "utf-8":
            self._decode = codecs.getincrementaldecoder(self._encoding)().decode
        return start

    def _convert(self, data: bytes) -> bytes:
        assert self._decode is not None
        try:
            text = self._decode(data, not data)
        except UnicodeDecodeError as error:
            line = self._lines + 1
            raise RelayError(
                f"manifest {self._name!r} is not {self._encoding}: {error.reason} near line {line}; save it as UTF-8, "
                "or name its encoding with columns.encoding"
            ) from None
        self._lines += text.count("\n")
        return text.encode(errors="surrogatepass")


def _looks_like_utf_16(start: bytes) -> bool:
    halves = start[:8:2], start[1:8:2]
    return len(start) >= 6 and any(not any(half) and all(other) for half, other in (halves, halves[::-1]))
