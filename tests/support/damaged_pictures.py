"""Parts of picture files, for tests that move, repeat or damage them."""

import base64
import io
import struct
from collections.abc import Iterable, Iterator

from PIL import Image

from tests.support import picture_files as files

RED, BLUE = (200, 60, 40), (40, 60, 200)

Chunk = tuple[bytes, bytes]


def two_colors(size: tuple[int, int] = (40, 24)) -> Image.Image:
    """A red picture with a blue quarter at its top left."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (0, 0, size[0] // 2, size[1] // 2))
    return image


def exif_orientation(value: int, kind: int = 3, count: int = 1) -> bytes:
    """A TIFF structure that holds one orientation; kind 3 is SHORT."""
    return b"II*\0\x08\0\0\0\x01\0\x12\x01" + struct.pack("<HIII", kind, count, value, 0)


def xmp_orientation(value: int) -> bytes:
    """An XMP packet that holds one orientation."""
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="%d"/>'
        b"</rdf:RDF></x:xmpmeta>" % value
    )


def jpeg_segment(marker: int, body: bytes) -> bytes:
    """A segment with its marker and length."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def icc_segment(part: bytes, number: int = 1, count: int = 1) -> bytes:
    """A segment with one part of an ICC profile."""
    return jpeg_segment(0xE2, b"ICC_PROFILE\0" + bytes([number, count]) + part)


def with_segments(jpeg: bytes, *segments: bytes, behind_frame: bool = False) -> bytes:
    """The JPEG with segments at its beginning, or behind its frame header."""
    at = 2
    if behind_frame:
        at = jpeg.index(b"\xff\xc0") + 2
        at += struct.unpack_from(">H", jpeg, at)[0]
    return jpeg[:at] + b"".join(segments) + jpeg[at:]


def png_chunks(png: bytes) -> Iterator[Chunk]:
    """Kind and body of each chunk."""
    offset = 8
    while offset < len(png):
        (length,) = struct.unpack_from(">I", png, offset)
        yield png[offset + 4 : offset + 8], png[offset + 8 : offset + 8 + length]
        offset += 12 + length


def png_of_chunks(chunks: Iterable[Chunk]) -> bytes:
    """A PNG of these chunks, with sound checksums."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(files.png_chunk(*chunk) for chunk in chunks)


def png_with(*chunks: Chunk, before: bytes = b"IDAT", image: Image.Image | None = None) -> bytes:
    """A PNG with further chunks before the first chunk of this kind."""
    parts = list(png_chunks(files.encoded(image or two_colors(), "PNG")))
    at = [kind for kind, _ in parts].index(before)
    return png_of_chunks([*parts[:at], *chunks, *parts[at:]])


def with_broken_checksum(png: bytes, kind: bytes) -> bytes:
    """The PNG with a wrong checksum of its first chunk of this kind."""
    at = png.index(kind)
    end = at + 4 + struct.unpack_from(">I", png, at - 4)[0]
    return png[:end] + bytes([png[end] ^ 0xFF]) + png[end + 1 :]


def apng(frames: list[tuple[int, int, int, int, tuple[int, int, int]]], size: tuple[int, int] = (40, 24)) -> bytes:
    """An APNG whose default image, in green, is not part of the animation.

    Each frame is given as width, height, left, top and colour.
    """
    default = list(png_chunks(files.encoded(Image.new("RGB", size, (0, 255, 0)), "PNG")))
    chunks = [default[0], (b"acTL", struct.pack(">II", len(frames), 0)), *default[1:-1]]
    for number, (width, height, left, top, color) in enumerate(frames):
        control = struct.pack(">IIIIIHHBB", 2 * number, width, height, left, top, 1, 10, 0, 0)
        encoded = png_chunks(files.encoded(Image.new("RGB", (width, height), color), "PNG"))
        pixels = b"".join(body for kind, body in encoded if kind == b"IDAT")
        chunks += [(b"fcTL", control), (b"fdAT", struct.pack(">I", 2 * number + 1) + pixels)]
    return png_of_chunks([*chunks, (b"IEND", b"")])


def gif(screen: tuple[int, int], frame: tuple[int, int], position: tuple[int, int]) -> bytes:
    """A GIF of one red frame at this position of its screen."""
    image = Image.new("P", frame, 1)
    image.putpalette([10, 20, 30, *RED, *BLUE, 0, 0, 0])
    data = bytearray(files.encoded(image, "GIF", optimize=False))
    data[6:10] = struct.pack("<HH", *screen)
    at = data.index(b",", 13 + (3 << (data[10] & 7) + 1))
    data[at + 1 : at + 5] = struct.pack("<HH", *position)
    return bytes(data)


def webp_animation(size: tuple[int, int], frame: tuple[int, int], position: tuple[int, int]) -> bytes:
    """An animated WebP without the alpha flag, whose first of two frames is red and at this position."""
    still = files.encoded(Image.new("RGB", frame, RED), "WEBP", lossless=True)[12:]
    head = b"".join(struct.pack("<I", value)[:3] for value in (position[0] // 2, position[1] // 2, *_less_one(frame)))
    animation = [_riff(b"ANMF", head + b"\x64\0\0\0" + still)] * 2
    canvas = b"".join(struct.pack("<I", value)[:3] for value in _less_one(size))
    body = b"WEBP" + _riff(b"VP8X", b"\x02\0\0\0" + canvas) + _riff(b"ANIM", b"\xff\xff\xff\xff\0\0")
    return _riff(b"RIFF", body + b"".join(animation))


def _less_one(size: tuple[int, int]) -> tuple[int, int]:
    return size[0] - 1, size[1] - 1


def _riff(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) & 1)


def avif_with_code_points(primaries: int, transfer: int) -> bytes:
    """An AVIF of two colours whose container states these code points."""
    buffer = io.BytesIO()
    two_colors((64, 48)).save(buffer, "AVIF", quality=100, subsampling="4:4:4")
    data = bytearray(buffer.getvalue())
    at = data.index(b"nclx") + 4
    data[at : at + 4] = struct.pack(">HH", primaries, transfer)
    return bytes(data)


def lossless_jpeg(image: Image.Image) -> bytes:
    """A gray JPEG without loss, with the left neighbour as predictor (ITU-T T.81, annex H)."""
    width, height = image.size
    levels, bits = image.convert("L").tobytes(), ""
    for at, level in enumerate(levels):
        x, y = at % width, at // width
        predicted = levels[at - 1] if x else levels[at - width] if y else 128
        category = abs(level - predicted).bit_length()
        value = level - predicted if level > predicted else level - predicted + (1 << category) - 1
        bits += f"{category:04b}" + (f"{value:0{category}b}" if category else "")
    bits += "1" * (-len(bits) % 8)
    coded = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    table = bytes((0, 0, 0, 0, 9, *[0] * 12, *range(9)))
    frame = struct.pack(">BHHBBBB", 8, height, width, 1, 1, 0x11, 0)
    head = jpeg_segment(0xC4, table) + jpeg_segment(0xC3, frame) + jpeg_segment(0xDA, bytes((1, 1, 0, 1, 0, 0)))
    return b"\xff\xd8" + head + coded + b"\xff\xd9"


ARITHMETIC_JPEGS = tuple(
    base64.b85decode("".join(text.split()))
    for text in (
        """
        |JeWA07C#95)>B{5gQj47aklNASgmBC?zE*Q93;^LSR*8WM5TXTWWZjfogG(b6Z`7wT6(MqpPi}XMnuPx~9jOsH>#^$p8xo03ZM$0Ra&J|I7
        de01yxb|Jncu0RaF2KLFjaa42HWz=5oXpO#C$Z+d`q$S3yqSUWN~fXha6EF~F+^!N*eqlJXjd{fzI8Ai+S)-!yDz0g9m+)-MxXL1?+DO}UTm
        Wb@+Lg~|Nr6irzmAtY+yXi4m9axMo7B&9>brqZG3-BzfG?g$Rsa?>GRlh?Bz&133j@zl(hMdz}1T&}_=ltaU6Hrn&)X%rr`x_-K2bEjNU`*x
        8_j=X%MSTY=_K&39SvlTp1RaqV+3WM0NY{d5d9;*Bsl9m;f51pKm##8BN>UmLLSsbjgo5E6W702!^R~wfbRS25d`uN4)6{ouCH}#*?%c$tCG
        ?1PMD>y9{6c0LF5fTIM9g!C@j(d;Pc-8N$ncMxGiJr7NlKXluX@xwX&ToNR8A+QI|sL`zLT@9p8kEo3I4uTkSRCd@6M1pxLz0gF({-?Axf&O
        iZK7#
        """,
        """
        |JeWA07C#95)>B{5gQj47aklNASgmBC?zE*Q93;^LSR*8WM5TXTWWZjfogG(b6Z`7wT6(MqpPi}XMnuPx~9jOsH>#^$^Z)p03ZM$0Ra&J|I7
        dc01*G$00;pA00001+hk3m;_w!*|I7dc5C#9*00;pA009L82|hO7;N>WZ;Q2`WCq^EhQgWpK%m4%s1^?Or2mt{A20sE#Gbl5x8RAL#L2~%Zo
        gzOj@k#mYL!q$_bAbQM00a;P|Jncu0RaF3KOrr!PR%rEHJaOu#hS3+mSv7cE!aDq%nT1k8oxV~)8d9LM>zTN2{MJGQ;XFxv$z+m8-Lb9@bSn
        mawIT=Mr!5`c<o9K>MX|=`zLXq)9DpbB@{%g4-3-w;Q!hH2mt{A000oJGXKl~1P}%P+5iXv0RRC%5P^U(TA1Jl)2!-N<W9$Ls8zdy%182biu
        4a9=KO0Ij-edfyrv=yTUx~~(p{lR-qbW1@J1b%SeR|ytB9K(*Ok8xPTj4%;jfJPFlaq`Er|Mlm9?a#P&G5BT0T^6p_+2<WxHd!Q={QEv^;QB
        AlH-lGX6RM-h0+W=+OO3G`6MeLLAcC@zLzl`63{y*=awX3vV{W;w_vD17&J@#2%<6K`<JXKK6)774x?N2Wc8am*WwSsQ=j
        """,
    )
)
"""32x32 pixels of gray noise, by `cjpeg -grayscale -quality 30 -arithmetic`; the second with `-progressive`."""
