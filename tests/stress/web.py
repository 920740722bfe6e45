"""The hostile web: every kind of bad URL, the outcome that is expected for it, and the files that the origin serves."""

import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path

from PIL import Image

from imgrelay_dagster.relay.outcomes import Reason
from tests.support.picture_files import encoded, noise, png_chunk

GOOD_PICTURES = 48
SIZE = (320, 240)


@dataclass(frozen=True)
class Kind:
    """One kind of fault.

    `url` has `{plain}` and `{tls}` for the origins and `{n}` for a number of the entry's own. `reason` is None
    if the entry must be uploaded nevertheless. `share` is how often it occurs, relative to the others.
    """

    url: str
    reason: Reason | None = None
    status: int | None = None
    share: int = 1


HANGS = 3
"""Share of the kinds that hold a connection until a time limit: they are what could stall a run."""

refused = partial(Kind, reason=Reason.HTTP_STATUS)
hanging = partial(Kind, reason=Reason.TIMEOUT, share=HANGS)
broken = partial(Kind, reason=Reason.TRUNCATED)
unconnected = partial(Kind, reason=Reason.CONNECT_ERROR)
large = partial(Kind, reason=Reason.TOO_LARGE)
lost = partial(Kind, reason=Reason.TOO_MANY_REDIRECTS)
bad = partial(Kind, reason=Reason.BAD_URL)
blocked = partial(Kind, reason=Reason.BLOCKED_ADDRESS)
corrupt = partial(Kind, reason=Reason.CORRUPT_IMAGE)
bomb = partial(Kind, reason=Reason.TOO_MANY_PIXELS)
odd = partial(Kind, reason=Reason.UNSUPPORTED_FORMAT)
untrusted = partial(Kind, reason=Reason.TLS_ERROR)

HEADER = {"gif": 792}
"""Number of valid bytes at the start of a corrupt picture; 40 for other formats. They include its size."""

SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "AVIF": "avif"}

KINDS = (
    # responses without an image
    *(refused(f"{{plain}}/status/{code}?{{n}}", status=code) for code in (404, 410, 500, 429, 206)),
    Kind("{plain}/flaky/2/{n}/good-1.jpg", status=200),
    Kind("{plain}/retry-after/1/{n}/good-2.jpg", status=200),
    Kind("{plain}/retry-after/86400/{n}/good-3.jpg", status=200),
    # servers that hang
    hanging("{plain}/never?{n}"),
    hanging("{plain}/headers-then-hang?{n}"),
    hanging("{plain}/no-length-then-hang?{n}"),
    hanging("{plain}/drip?{n}"),
    hanging("{plain}/drip-headers?{n}"),
    hanging("{plain}/drip-location?{n}"),
    hanging("{plain_over_tls}/good-0.jpg?{n}"),
    # connections that break
    unconnected("{plain}/hang-up?{n}"),
    unconnected("{plain}/not-http?{n}"),
    unconnected("{plain}/big-headers?{n}"),
    unconnected("{plain}/many-headers?{n}"),
    unconnected("{plain}/lengths-differ?{n}"),
    unconnected("http://127.0.0.1:9/{n}.jpg"),
    unconnected("{plain}/redirect-to?u=http://127.0.0.1:9/{n}.jpg"),
    broken("{plain}/close-mid-body/{n}/good-4.jpg"),
    broken("{plain}/reset-mid-body/{n}/good-5.jpg"),
    broken("{plain}/chunked-broken?{n}"),
    broken("{plain}/chunked-cut?{n}"),
    broken("{plain}/gzip-cut?{n}"),
    Kind("{plain}/another-answer-behind/{n}/good-6.jpg", status=200),
    # bodies of the wrong size, or of the wrong kind
    large("{plain}/length-too-large?{n}"),
    large("{plain}/endless?{n}"),
    large("{plain}/gzip-bomb?{n}"),
    large("{plain}/gzip-bomb?layers=2&{n}"),
    corrupt("{plain}/gzip-lie?{n}"),
    broken("{plain}/length-too-small/{n}/good-7.jpg"),
    Kind("{plain}/empty?{n}", Reason.EMPTY_BODY),
    odd("{plain}/html?{n}"),
    # pictures
    *(corrupt(f"{{plain}}/corrupt.{suffix}?{{n}}") for suffix in SUFFIXES.values()),
    *(corrupt(f"{{plain}}/truncated.{suffix}?{{n}}") for suffix in SUFFIXES.values()),
    bomb("{plain}/bomb.png?{n}"),
    bomb("{plain}/bomb.jpg?{n}"),
    bomb("{plain}/bomb.gif?{n}"),
    Kind("{plain}/huge-profile.png?{n}", status=200),  # relayed without the profile
    Kind("{plain}/huge-text.png?{n}", status=200),
    Kind("{plain}/many-frames.gif?{n}", status=200),
    # redirects
    Kind("{plain}/redirect/3/good-8.jpg?{n}", status=200),
    lost("{plain}/redirect/9/good-9.jpg?{n}"),
    lost("{plain}/redirect-loop?{n}"),
    refused("{plain}/redirect-nowhere?{n}", status=302),
    bad("{plain}/redirect-to?u=file:///etc/passwd&{n}"),
    bad("{plain}/redirect-to?u=ftp://127.0.0.1/good.jpg&{n}"),
    blocked("{plain}/redirect-to?u=http://169.254.169.254/latest/meta-data/&{n}"),
    blocked("{plain}/redirect-to?u=http://[::ffff:10.0.0.1]/&{n}"),
    # addresses and encryption
    bad("ftp://127.0.0.1/{n}.jpg"),
    blocked("http://169.254.169.254/{n}"),
    Kind("http://no-such-host.invalid/{n}.jpg", Reason.DNS_ERROR),
    untrusted("{tls}/good-0.jpg?{n}"),
    unconnected("{tls_in_plain}/good-0.jpg?{n}"),
)


@dataclass(frozen=True)
class Entry:
    """A manifest line and its expected outcome."""

    url: str
    kind: Kind | None = None

    @property
    def reason(self) -> Reason | None:
        return self.kind.reason if self.kind else None


@dataclass(frozen=True)
class Addresses:
    """Where the two origins listen."""

    plain_port: int
    tls_port: int

    def url(self, template: str, number: int) -> str:
        return template.format(
            n=number,
            plain=f"http://127.0.0.1:{self.plain_port}",
            tls=f"https://127.0.0.1:{self.tls_port}",
            plain_over_tls=f"https://127.0.0.1:{self.plain_port}",
            tls_in_plain=f"http://127.0.0.1:{self.tls_port}",
        )

    def good(self, number: int) -> Entry:
        return Entry(self.url(f"{{plain}}/good-{number % GOOD_PICTURES}.jpg?{{n}}", number))

    def bad(self, kind: Kind, number: int) -> Entry:
        return Entry(self.url(kind.url, number), kind)


def all_good(addresses: Addresses, count: int) -> list[Entry]:
    """Entries without any fault."""
    return [addresses.good(number) for number in range(count)]


def with_faults(addresses: Addresses, count: int, percentage: float, seed: int = 1) -> list[Entry]:
    """Entries of which a share are bad URLs of every kind, randomly mixed with the good ones."""
    weighted = [kind for kind in KINDS for _ in range(kind.share)]
    faults = round(count * percentage / 100)
    assert faults >= len(weighted), "too few entries for every kind"
    entries = [addresses.bad(kind, number) for number, kind in enumerate(islice(cycle(weighted), faults))]
    entries += [addresses.good(number) for number in range(faults, count)]
    random.Random(seed).shuffle(entries)
    return entries


def write_pictures(folder: Path) -> None:
    """Write every file that the origin serves as it is."""
    for name, data in _pictures():
        (folder / name).write_bytes(data)


def _pictures() -> Iterator[tuple[str, bytes]]:
    for number in range(GOOD_PICTURES):
        yield f"good-{number}.jpg", encoded(noise(SIZE, seed=number), "JPEG", quality=85)
    for picture_format, suffix in SUFFIXES.items():
        whole = encoded(noise(SIZE), picture_format)
        yield f"truncated.{suffix}", whole[: len(whole) // 3]
        header = whole[: HEADER.get(suffix, 40)]
        yield f"corrupt.{suffix}", header + random.Random(suffix).randbytes(len(whole) - len(header))
    yield "bomb.png", _png((50_000, 50_000), _zeros(298))
    yield "bomb.jpg", _jpeg_bomb()
    yield "bomb.gif", _gif_bomb()
    yield "huge-profile.png", _png((8, 8), zlib.compress(bytes(16)), (b"iCCP", b"name\0\0" + _zeros(500)))
    yield "huge-text.png", _png((8, 8), zlib.compress(bytes(16)), (b"zTXt", b"key\0\0" + _zeros(500)))
    yield "many-frames.gif", _many_frames(100_000)


def _zeros(megabytes: int) -> bytes:
    """This many megabytes of zeros, compressed to about a thousandth of the size."""
    stream = zlib.compressobj(9)
    return b"".join(stream.compress(bytes(1 << 20)) for _ in range(megabytes)) + stream.flush()


def _png(size: tuple[int, int], pixels: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    header = (b"IHDR", struct.pack(">IIBBBBB", *size, 1, 0, 0, 0, 0))
    chunks = [header, *extra, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def _jpeg_bomb() -> bytes:
    data = bytearray(encoded(Image.new("RGB", (8, 8)), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    return bytes(data)


def _gif_bomb() -> bytes:
    """A small screen with a frame of 65,535 x 65,535."""
    data = bytearray(encoded(Image.new("P", (8, 8)), "GIF"))
    at = data.index(b",") + 5
    data[at : at + 4] = b"\xff\xff\xff\xff"
    return bytes(data)


def _many_frames(count: int) -> bytes:
    """A small GIF whose only frame is there so many times."""
    data = encoded(Image.new("P", (8, 8), 3), "GIF")
    at = data.index(b",", 13 + (3 << (data[10] & 7) + 1))
    return data[:at] + data[at:-1] * count + b";"
