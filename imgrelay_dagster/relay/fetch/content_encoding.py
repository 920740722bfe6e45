"""Undoes Content-Encoding while streaming, in bounded memory.

`Accept-Encoding: identity` is sent, so there should be none; some servers compress regardless. Only zlib's
codings are undone. A body under any other label is passed on as it is: labels such as `aws-chunked`, `utf-8`
or `none` stand on plain images, and what really is Brotli is no image and ends as `unsupported_format`.
"""

import zlib
from collections.abc import Iterator

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.outcomes import Reason

_PIECE = 64 * 1024  # bytes; the most that one step puts out
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_MAGIC = b"\x1f\x8b"
_WINDOW = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}  # RFC 9110 8.4.1


class Inflater:
    """Decompresses a body piece by piece."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._zlib = zlib.decompressobj(_WINDOW[coding])
        self._begun = False
        self._behind = b""  # what follows the end, while it may still become another member

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what these bytes decompress to, at most 64 KiB a piece.

        Raises:
            EntryFailure: `corrupt_image`, when they are not of the coding.
        """
        while data:
            if self._zlib.eof:
                data = self._behind + data
                if self._coding == "deflate" or not data.startswith(_MAGIC):
                    self._behind = data[:1]  # half a magic number, or padding, which is ignored
                    return
                self._behind = b""
                self._zlib = zlib.decompressobj(_GZIP)  # RFC 1952 2.2: members may follow each other
            yield self._step(data)
            data = self._zlib.unconsumed_tail or self._zlib.unused_data

    def _step(self, data: bytes) -> bytes:
        begun, self._begun = self._begun, True
        try:
            return self._zlib.decompress(data, _PIECE)
        except zlib.error as error:
            if self._coding == "deflate" and not begun:
                # Some servers send raw deflate data (RFC 1951) without the zlib wrapper that is meant.
                self._zlib = zlib.decompressobj(_RAW)
                return self._step(data)
            raise EntryFailure(Reason.CORRUPT_IMAGE, f"the body is not {self._coding} data") from error

    def finish(self) -> None:
        """Say that the body is at its end.

        Raises:
            EntryFailure: `truncated`, when the compressed data is not.
        """
        if self._begun and not self._zlib.eof:
            raise EntryFailure(Reason.TRUNCATED, f"{self._coding} data ends early", transient=True)


def inflater(content_encoding: str | None) -> Inflater | None:
    """Pick what undoes a Content-Encoding; None when the body is to be taken as it is.

    Raises:
        EntryFailure: `unsupported_format`, for several compressions on top of each other.
    """
    if content_encoding is None:
        return None
    codings = [coding for coding in map(str.strip, content_encoding.lower().split(",")) if coding in _WINDOW]
    if len(codings) > 1:
        raise EntryFailure(Reason.UNSUPPORTED_FORMAT, "the body is compressed more than once")
    return Inflater(codings[0]) if codings else None
