"""Decodes Content-Encoding while streaming, in bounded memory.

Requests send `Accept-Encoding: identity`, so responses should not be compressed, but some servers compress anyway.
Only zlib's codings are decoded. A body with any other label is passed on unchanged: labels such as `aws-chunked`,
`utf-8` or `none` occur on plain images, and a body that really is Brotli fails later as `unsupported_format`.
"""

import zlib
from collections.abc import Iterator

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.outcomes import Reason

_CHUNK_SIZE = 64 * 1024  # bytes; maximum output of one decompression step
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_GZIP_MAGIC = b"\x1f\x8b"
_WINDOW_BITS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}  # RFC 9110 8.4.1


class Inflater:
    """Decompresses a body chunk by chunk."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._zlib = zlib.decompressobj(_WINDOW_BITS[coding])
        self._started = False
        self._trailing = b""  # one byte after the end: it may be the first half of another member's magic number

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decompress `data`; yield chunks of at most 64 KiB.

        Raises:
            EntryFailure: `corrupt_image`, when `data` is not of this coding.
        """
        while data:
            if self._zlib.eof:
                data = self._trailing + data
                if self._coding == "deflate" or not data.startswith(_GZIP_MAGIC):
                    self._trailing = data[:1]  # half a magic number, or padding, which is ignored
                    return
                self._trailing = b""
                self._zlib = zlib.decompressobj(_GZIP)  # RFC 1952 2.2: members may follow each other
            yield self._decompress(data)
            data = self._zlib.unconsumed_tail or self._zlib.unused_data

    def _decompress(self, data: bytes) -> bytes:
        started, self._started = self._started, True
        try:
            return self._zlib.decompress(data, _CHUNK_SIZE)
        except zlib.error as error:
            if self._coding == "deflate" and not started:
                # Some servers send raw deflate data (RFC 1951) without the required zlib wrapper.
                self._zlib = zlib.decompressobj(_RAW)
                return self._decompress(data)
            raise EntryFailure(Reason.CORRUPT_IMAGE, f"the body is not {self._coding} data") from error

    def finish(self) -> None:
        """Check that the compressed data is complete; called at the end of the body.

        Raises:
            EntryFailure: `truncated`, when the compressed data is incomplete.
        """
        if self._started and not self._zlib.eof:
            raise EntryFailure(Reason.TRUNCATED, f"the {self._coding} data is incomplete", transient=True)


def create_inflater(content_encoding: str | None) -> Inflater | None:
    """Return the decoder for a Content-Encoding header; None when the body needs no decoding.

    Raises:
        EntryFailure: `unsupported_format`, for more than one compression.
    """
    if content_encoding is None:
        return None
    codings = [coding for coding in map(str.strip, content_encoding.lower().split(",")) if coding in _WINDOW_BITS]
    if len(codings) > 1:
        raise EntryFailure(Reason.UNSUPPORTED_FORMAT, "the body is compressed more than once")
    return Inflater(codings[0]) if codings else None
