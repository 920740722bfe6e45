"""Decodes Content-Encoding while streaming, in bounded memory: gzip, deflate, Brotli and Zstandard, also stacked.

Requests send `Accept-Encoding: identity`, so responses should not be compressed, but some servers compress anyway.
Labels that are not codings, such as `aws-chunked`, `utf-8` or `none`, occur on plain images: such a body is passed on
unchanged, and so is a body that starts like an image although its label names a coding.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.fetch.codings import BrotliDecoder, DeflateDecoder, ZstandardDecoder
from imgrelay_dagster.relay.fetch.gzip_coding import GzipDecoder
from imgrelay_dagster.relay.outcomes import Reason

MAX_CODINGS = 5
"""Codings that a body may have, one inside the other."""

_DECODERS: dict[str, Callable[[], "Decoder"]] = {
    "gzip": GzipDecoder,
    "x-gzip": GzipDecoder,
    "deflate": DeflateDecoder,
    "br": BrotliDecoder,
    "zstd": ZstandardDecoder,
}
_NO_CODINGS = frozenset({"", "identity", "none", "aws-chunked", "binary", "utf-8", "utf8"})
_IMAGE_START = re.compile(
    rb"\xff\xd8|\x89PNG\r\n\x1a\n|GIF8|RIFF....WEBP|....ftyp|BM....\0\0\0\0|II\*\0|MM\0\*", re.DOTALL
)


class Decoder(Protocol):
    """Undoes one coding, chunk by chunk."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode `data`; yield small chunks. Raises `EntryFailure` (`corrupt_image`) if it is not of this coding."""

    def finish(self) -> None:
        """Check at the end of the body that it is complete. Raises `EntryFailure` (`truncated`) otherwise."""


class BodyDecoder:
    """Undoes the codings of one body.

    Args:
        codings: in the order in which the server applied them.
        limit: bytes that no coding may decode to, also in between: a body may be a decompression bomb.
        unknown: a label that is not known; the body must then start like an image.
    """

    def __init__(self, codings: Iterable[str], limit: int, unknown: str | None = None) -> None:
        self._decoders = [_DECODERS[coding]() for coding in codings][::-1]
        self._limit = limit
        self._unknown = unknown
        self._sizes = [0] * len(self._decoders)
        self._started = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode `data`; yield small chunks.

        Raises:
            EntryFailure: `corrupt_image` for data that is not of its coding, `too_large`, or `unsupported_format`
                for a body with an unknown label that does not start like an image.
        """
        if not self._started:
            self._started = True
            if _IMAGE_START.match(data):
                self._decoders = []
            elif self._unknown is not None:
                detail = f"the body has the Content-Encoding {self._unknown[:40]!r}, which cannot be decoded"
                raise EntryFailure(Reason.UNSUPPORTED_FORMAT, detail)
        chunks: Iterator[bytes] = iter((data,))
        for number in range(len(self._decoders)):
            chunks = self._decode(number, chunks)
        return chunks

    def _decode(self, number: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            for decoded in self._decoders[number].feed(chunk):
                self._sizes[number] += len(decoded)
                if self._sizes[number] > self._limit:
                    raise too_large(None, self._limit)
                yield decoded

    def finish(self) -> None:
        """Check that the compressed data is complete; called at the end of the body.

        Raises:
            EntryFailure: `truncated`, when the compressed data is incomplete.
        """
        for decoder in self._decoders:
            decoder.finish()


def create_decoder(content_encoding: str | None, limit: int) -> BodyDecoder | None:
    """Return the decoder for a Content-Encoding header; None when the body needs no decoding.

    Args:
        content_encoding: the header's value, such as `gzip` or `gzip, br`.
        limit: maximum size of the body in bytes.

    Raises:
        EntryFailure: `unsupported_format`, for more than `MAX_CODINGS` codings.
    """
    if content_encoding is None:
        return None
    labels = [label for label in map(str.strip, content_encoding.lower().split(",")) if label not in _NO_CODINGS]
    codings = [label for label in labels if label in _DECODERS]
    if len(codings) > MAX_CODINGS:
        detail = f"the body has {len(codings)} content codings; at most {MAX_CODINGS} are undone"
        raise EntryFailure(Reason.UNSUPPORTED_FORMAT, detail)
    unknown = next((label for label in labels if label not in _DECODERS), None)
    return BodyDecoder(codings, limit, unknown) if labels else None


def too_large(length: int | None, limit: int) -> EntryFailure:
    """Return the failure for a body of more than `limit` bytes; `length` is its size, if it is known."""
    body = "the body" if length is None else f"a body of {length:,} bytes"
    return EntryFailure(Reason.TOO_LARGE, f"{body} exceeds the limit of {limit:,} bytes")
