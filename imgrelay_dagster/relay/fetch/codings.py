"""The codings deflate, br and zstd of Content-Encoding (RFC 9110 8.4.1).

Each decoder works chunk by chunk, in bounded memory.
"""

import sys
import zlib
from collections.abc import Iterator
from typing import Any

import brotli

from imgrelay_dagster.relay.fetch.coding_failures import CHUNK_SIZE, corrupt, truncated

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_ADLER = 4  # bytes of the checksum behind zlib data
_ZLIB_HEADER = 2  # bytes; without them zlib data and raw deflate data cannot be told apart
_ZSTANDARD_WINDOW_BITS = 23  # 8 MiB (RFC 9659)
_ZSTANDARD_MAGICS = (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16)))


class DeflateDecoder:
    """Decompresses deflate data chunk by chunk, with zlib's wrapper (RFC 1950) or without it.

    As in browsers, the checksum at the end of the wrapper may be missing or incomplete, but not wrong. zlib itself
    cannot tell a missing checksum from missing data, so header and checksum are read here.
    """

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)
        self._head = b""  # less than the wrapper's header, without which the two kinds cannot be told apart
        self._started = False
        self._checksum: int | None = None  # of what was decompressed so far; None without a wrapper
        self._trailer = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decompress `data`; yield chunks of at most 64 KiB. What follows the end is padding, which is ignored.

        Raises:
            EntryFailure: `corrupt_image`, when `data` is not of this coding.
        """
        data, self._head = self._head + data, b""
        if not self._started and len(data) < _ZLIB_HEADER:
            self._head = data
            return
        is_full = False  # more may come out of what zlib has taken in
        while (data or is_full) and not self._zlib.eof:
            yield (decoded := self._decompress(data))
            data, is_full = self._zlib.unconsumed_tail or self._zlib.unused_data, len(decoded) == CHUNK_SIZE
        if self._checksum is not None and self._zlib.eof:
            self._trailer = (self._trailer + data)[:_ADLER]
            if len(self._trailer) == _ADLER and int.from_bytes(self._trailer) != self._checksum:
                raise corrupt("deflate")

    def _decompress(self, data: bytes) -> bytes:
        body, is_first = data, not self._started
        if is_first and _has_zlib_header(data):
            body, self._checksum = data[_ZLIB_HEADER:], zlib.adler32(b"")
        self._started = True
        try:
            decoded = self._zlib.decompress(body, CHUNK_SIZE)
        except zlib.error as error:
            if not is_first or self._checksum is None:
                raise corrupt("deflate") from error
            # Raw deflate data (RFC 1951), which some servers send, may begin like a wrapper.
            self._zlib, self._checksum = zlib.decompressobj(-zlib.MAX_WBITS), None
            try:
                return self._zlib.decompress(data, CHUNK_SIZE)
            except zlib.error:
                raise corrupt("deflate") from error
        if self._checksum is not None:
            self._checksum = zlib.adler32(decoded, self._checksum)
        return decoded

    def finish(self) -> None:
        """Check that the compressed data is complete; called at the end of the body.

        Raises:
            EntryFailure: `truncated`, when the compressed data is incomplete.
        """
        if self._started and not self._zlib.eof:
            raise truncated("deflate")


class BrotliDecoder:
    """Decompresses Brotli data (RFC 7932) chunk by chunk."""

    def __init__(self) -> None:
        self._brotli = brotli.Decompressor()
        self._started = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decompress `data`; yield chunks of about 64 KiB.

        Raises:
            EntryFailure: `corrupt_image`, when `data` is not of this coding.
        """
        self._started = True
        if self._brotli.is_finished():
            return  # padding
        while chunk := self._decompress(data):
            yield chunk
            data = b""  # `can_accept_more_data` may be true while there is more to return

    def _decompress(self, data: bytes) -> bytes:
        try:
            return bytes(self._brotli.process(data, output_buffer_limit=CHUNK_SIZE))
        except brotli.error as error:
            raise corrupt("br") from error

    def finish(self) -> None:
        """Check that the compressed data is complete.

        Raises:
            EntryFailure: `truncated`, when it is not.
        """
        if self._started and not self._brotli.is_finished():
            raise truncated("br")


class ZstandardDecoder:
    """Decompresses Zstandard data (RFC 8878) chunk by chunk. Windows are limited to 8 MiB, as RFC 9659 demands."""

    def __init__(self) -> None:
        self._frame = self._new_frame()
        self._started = False
        self._trailing = b""  # bytes after the end of a frame

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decompress `data`; yield chunks of at most 64 KiB.

        Raises:
            EntryFailure: `corrupt_image`, when `data` is not of this coding.
        """
        self._started = True
        data, self._trailing = self._trailing + data, b""
        while data or not (self._frame.eof or self._frame.needs_input):
            if self._frame.eof:
                if not data.startswith(_ZSTANDARD_MAGICS):
                    self._trailing = data[:3]  # a part of a magic number, or padding, which is ignored
                    return
                self._frame = self._new_frame()  # RFC 8878 3: frames may follow each other
            yield self._decompress(data)
            data = self._frame.unused_data if self._frame.eof else b""

    def _decompress(self, data: bytes) -> bytes:
        try:
            return bytes(self._frame.decompress(data, CHUNK_SIZE))
        except zstd.ZstdError as error:
            raise corrupt("zstd") from error

    @staticmethod
    def _new_frame() -> Any:
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTANDARD_WINDOW_BITS})

    def finish(self) -> None:
        """Check that the compressed data is complete.

        Raises:
            EntryFailure: `truncated`, when it is not.
        """
        if self._started and not self._frame.eof:
            raise truncated("zstd")


def _has_zlib_header(data: bytes) -> bool:
    """Whether data begin with zlib's wrapper (RFC 1950 2.2), without a preset dictionary."""
    method, window, flags = data[0] & 15, data[0] >> 4, data[1]
    return method == 8 and window <= 7 and not flags & 32 and (data[0] << 8 | flags) % 31 == 0
