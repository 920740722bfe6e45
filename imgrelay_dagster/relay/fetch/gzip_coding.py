"""Decodes gzip (RFC 1952) as browsers do: the end of the deflate stream counts, not the checksum behind it.

zlib's own gzip mode loses the last data of a member whose checksum is wrong, so headers and trailers are read here.
"""

import zlib
from collections.abc import Iterator

from imgrelay_dagster.relay.fetch.coding_failures import CHUNK_SIZE, corrupt, truncated

_MAGIC = b"\x1f\x8b"
_DEFLATE = 8
_FIXED_HEADER, _TRAILER = 10, 8  # bytes; the trailer holds the checksum and the size
_MAX_HEADER = 128 * 1024  # bytes of a header, whose name and comment have no limit of their own
_HAS_CRC, _HAS_EXTRA, _HAS_NAME, _HAS_COMMENT, _RESERVED = 2, 4, 8, 16, 0xE0


class GzipDecoder:
    """Decompresses the members of gzip data chunk by chunk. A trailer may be wrong, incomplete or missing."""

    def __init__(self) -> None:
        self._head = b""  # the header that is being read
        self._is_first = True  # no member has begun before this header
        self._inflating: zlib._Decompress | None = None
        self._trailer_left = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decompress `data`; yield chunks of at most 64 KiB.

        Raises:
            EntryFailure: `corrupt_image`, when `data` is not gzip data.
        """
        is_full = False  # more may come out of what zlib has taken in
        while data or is_full:
            if self._inflating is None:
                data = self._read_head(data)
                continue
            yield (decoded := self._decompress(self._inflating, data))
            data, is_full = self._inflating.unconsumed_tail, len(decoded) == CHUNK_SIZE
            if self._inflating.eof:
                data, is_full = self._inflating.unused_data, False
                self._inflating, self._trailer_left = None, _TRAILER

    @staticmethod
    def _decompress(inflating: "zlib._Decompress", data: bytes) -> bytes:
        try:
            return inflating.decompress(data, CHUNK_SIZE)
        except zlib.error as error:
            raise corrupt("gzip") from error

    def _read_head(self, data: bytes) -> bytes:
        """Read the rest of a trailer, and the header of the next member; return what follows."""
        skipped = min(self._trailer_left, len(data))
        self._trailer_left -= skipped
        self._head += data[skipped:]
        if not self._is_first and not _MAGIC.startswith(self._head[:2]):
            self._head = b"\0"  # padding, which is ignored up to the end of the body
            return b""
        try:
            length = _header_length(self._head)
        except ValueError as error:
            raise corrupt("gzip") from error
        if length is None:
            return b""
        rest, self._head, self._is_first = self._head[length:], b"", False
        self._inflating = zlib.decompressobj(-zlib.MAX_WBITS)
        return rest

    def finish(self) -> None:
        """Check that the deflate streams are complete; called at the end of the body.

        Raises:
            EntryFailure: `truncated`, when one is not.
        """
        if self._inflating is not None or (self._head.startswith(_MAGIC) or (self._is_first and self._head)):
            raise truncated("gzip")


def _header_length(head: bytes) -> int | None:
    """The bytes of a member's header (RFC 1952 2.3); None if it is incomplete. Raises ValueError for another."""
    if not (_MAGIC + bytes([_DEFLATE])).startswith(head[:3]) or (len(head) > 3 and head[3] & _RESERVED):
        raise ValueError("no gzip header")
    if len(head) < _FIXED_HEADER:
        return None
    flags, offset = head[3], _FIXED_HEADER
    if flags & _HAS_EXTRA:
        offset += 2 + int.from_bytes(head[offset : offset + 2], "little")
    for text in (_HAS_NAME, _HAS_COMMENT):
        if flags & text:
            offset = head.find(b"\0", offset) + 1 or len(head) + 1
    offset += 2 if flags & _HAS_CRC else 0
    if offset > len(head) > _MAX_HEADER:
        raise ValueError("the gzip header is too long")
    return offset if offset <= len(head) else None
