"""A process that decodes pictures for `decoder_pool.py`, one after the other, until its connection is closed.

    python -m imgrelay_dagster.relay.imaging.decoder_process FD

It knows nothing but the bytes of a picture: its environment holds no credentials. A request is a header (`Request`) and
the file's bytes. A response is a header (`Response`), and after a success the pixels, in strips of whole rows. A header
is JSON, after its length in four bytes.
"""

import json
import socket
import struct
import sys
from base64 import b64decode, b64encode
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Self

from PIL import Image

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.decode import Decoded, Source
from imgrelay_dagster.relay.imaging.decoder_limits import limited, prepare_process
from imgrelay_dagster.relay.imaging.formats.exif import Rights
from imgrelay_dagster.relay.imaging.kept import Kept
from imgrelay_dagster.relay.imaging.layout import Box, Fit, ScaledToFit, Size
from imgrelay_dagster.relay.outcomes import Reason

STRIP_BYTES = 4 << 20
"""Bytes of the pixels that are sent at once."""


@dataclass(frozen=True, slots=True)
class Request:
    """A file of `size` bytes to decode, in at most `cpu_limit` seconds of CPU time and `memory` bytes.

    `keep` and, in `ScaledToFit`, `canvas` and `fit` are those of the argument of `Source.decode`, if it has one.
    """

    size: int
    max_pixels: int
    memory: int
    cpu_limit: float
    canvas: Size | None = None
    fit: Fit | None = None
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Response:
    """A decoded picture (see `Decoded`) of `size`, or the reason why it cannot be decoded."""

    mode: str = ""
    size: Size = (0, 0)
    full_size: Size = (0, 0)
    extent: Box = (0, 0, 0, 0)
    frames: int | None = 1
    artist: str = ""
    copyright: str = ""
    profile: str = ""
    reason: Reason | None = None
    detail: str = ""

    @classmethod
    def of(cls, decoded: Decoded) -> Self:
        """The response with a picture. Bytes of metadata are in base64."""
        rights, profile = decoded.kept.rights, decoded.kept.profile
        artist, copyright_, text = (b64encode(each).decode() for each in (rights.artist, rights.copyright, profile))
        size, extent = decoded.full_size, decoded.extent
        return cls(decoded.image.mode, decoded.image.size, size, extent, decoded.frames, artist, copyright_, text)

    @property
    def kept(self) -> Kept:
        """What is kept of the metadata."""
        artist, copyright_, profile = map(b64decode, (self.artist, self.copyright, self.profile))
        return Kept(Rights(artist, copyright_), profile)


def encode_header(header: Request | Response) -> bytes:
    """A header as it is sent."""
    encoded = json.dumps(asdict(header)).encode()
    return struct.pack(">I", len(encoded)) + encoded


def rows_of_strip(mode: str, width: int) -> int:
    """The number of rows in a strip."""
    return max(1, STRIP_BYTES // (width * len(mode)))


def main() -> None:
    """Serve requests until the connection is closed."""
    prepare_process()
    with socket.socket(fileno=int(sys.argv[1])) as connection, suppress(EOFError, ConnectionError):
        while True:
            (length,) = struct.unpack(">I", _receive(connection, 4))
            header: dict[str, Any] = json.loads(_receive(connection, length))
            request = Request(**header)
            _serve(connection, request, bytes(_receive(connection, request.size)))


def _serve(connection: socket.socket, request: Request, data: bytes) -> None:
    target = None
    if request.canvas is not None and request.fit is not None:
        target = ScaledToFit((request.canvas[0], request.canvas[1]), Fit(request.fit))
    try:
        with limited(connection, request.memory, request.cpu_limit):
            decoded = Source.inspect(data, request.max_pixels).decode(target, request.keep)
    except EntryFailure as failure:
        connection.sendall(encode_header(Response(reason=failure.reason, detail=failure.detail)))
    except MemoryError:
        detail = f"decoding it takes more than {request.memory:,} bytes of memory"
        connection.sendall(encode_header(Response(reason=Reason.TOO_COSTLY, detail=detail)))
    else:
        connection.sendall(encode_header(Response.of(decoded)))
        _send_pixels(connection, decoded.image)


def _send_pixels(connection: socket.socket, image: Image.Image) -> None:
    rows = rows_of_strip(image.mode, image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        connection.sendall(strip.tobytes())


def _receive(connection: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view, received = memoryview(data), 0
    while received < size:
        count = connection.recv_into(view[received:])
        if not count:
            raise EOFError
        received += count
    return data


if __name__ == "__main__":
    main()
