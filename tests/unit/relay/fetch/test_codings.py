"""The decoders of single content codings."""

import gzip
import random
import sys
import zlib
from collections.abc import Callable

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.fetch.codings import BrotliDecoder, DeflateDecoder, ZstandardDecoder
from imgrelay_dagster.relay.fetch.content_encoding import Decoder
from imgrelay_dagster.relay.fetch.gzip_coding import GzipDecoder
from imgrelay_dagster.relay.outcomes import Reason

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CODINGS: dict[str, tuple[Callable[[bytes], bytes], Callable[[], Decoder]]] = {
    "gzip": (gzip.compress, GzipDecoder),
    "deflate": (zlib.compress, DeflateDecoder),
    "raw deflate": (lambda data: zlib.compress(data)[2:-4], DeflateDecoder),
    "br": (brotli.compress, BrotliDecoder),
    "zstd": (zstd.compress, ZstandardDecoder),
}


@pytest.mark.parametrize("name", CODINGS)
def test_decompressed_chunks_are_bounded_at_any_compression_ratio(name: str) -> None:
    compress, decoder = CODINGS[name]
    sizes = [len(chunk) for chunk in decoder().feed(compress(bytes(20_000_000)))]
    assert sum(sizes) == 20_000_000
    assert max(sizes) <= 128 * 1024


@pytest.mark.parametrize("name", CODINGS)
@given(data=st.binary(max_size=3000), size=st.integers(1, 500))
def test_data_is_decoded_from_chunks_of_any_size(name: str, data: bytes, size: int) -> None:
    compress, decoder = CODINGS[name]
    assert _decode(decoder(), compress(data), size) == data


@pytest.mark.parametrize("name", ["gzip", "zstd"])
@given(members=st.lists(st.binary(max_size=3000), min_size=1, max_size=4), size=st.integers(1, 500))
def test_several_members_or_frames_are_decoded_together(name: str, members: list[bytes], size: int) -> None:
    compress, decoder = CODINGS[name]
    assert _decode(decoder(), b"".join(map(compress, members)), size) == b"".join(members)


@pytest.mark.parametrize("name", CODINGS)
def test_cut_data_is_truncated_and_other_data_is_corrupt(name: str) -> None:
    compress, decoder = CODINGS[name]
    compressed = compress(random.Random(1).randbytes(5_000))
    with pytest.raises(EntryFailure) as cut:
        _decode(decoder(), compressed[:-9], 1000)
    assert (cut.value.reason, cut.value.transient) == (Reason.TRUNCATED, True)
    with pytest.raises(EntryFailure) as wrong:
        _decode(decoder(), b"0123456789" * 50, 1000)
    assert wrong.value.reason is Reason.CORRUPT_IMAGE


@pytest.mark.parametrize("level", [0, 1, 9])
@given(data=st.binary(min_size=1, max_size=3000), size=st.integers(1, 500))
def test_a_gzip_trailer_may_be_wrong_or_missing(level: int, data: bytes, size: int) -> None:
    whole = gzip.compress(data, level)
    stream = whole[:-8]
    for trailer in (b"", whole[-8:-4], bytes(8), whole[-8:-4] + bytes(4), bytes(8) + b"padding"):
        assert _decode(GzipDecoder(), stream + trailer, size) == data
    assert _decode(GzipDecoder(), stream + bytes(8) + whole, size) == data * 2
    for cut in range(1, len(stream)):
        with pytest.raises(EntryFailure) as caught:
            _decode(GzipDecoder(), stream[:cut], 1000)
        assert (caught.value.reason, caught.value.transient) == (Reason.TRUNCATED, True)


@pytest.mark.parametrize("level", [0, 1, 9])
@given(data=st.binary(min_size=1, max_size=3000), size=st.integers(1, 500))
def test_the_checksum_of_deflate_data_may_be_missing_but_not_wrong(level: int, data: bytes, size: int) -> None:
    whole = zlib.compress(data, level)
    for trailer in (b"", whole[-4:-1], whole[-4:], whole[-4:] + b"padding"):
        assert _decode(DeflateDecoder(), whole[:-4] + trailer, size) == data
    for wrong in (bytes(4), bytes(4) + b"padding"):
        with pytest.raises(EntryFailure) as caught:
            _decode(DeflateDecoder(), whole[:-4] + wrong, size)
        assert caught.value.reason is Reason.CORRUPT_IMAGE
    with pytest.raises(EntryFailure) as caught:
        _decode(DeflateDecoder(), whole[:-5], size)
    assert caught.value.reason is Reason.TRUNCATED


@pytest.mark.parametrize(("name", "trailer"), [("gzip", 8), ("deflate", 4)])
@pytest.mark.parametrize("kept", [0, 1, 3, 4])
def test_output_that_fills_its_chunk_is_followed_by_the_rest(name: str, trailer: int, kept: int) -> None:
    """zlib may have taken in the last bytes when the chunk was full, so that no input is left to ask for the rest."""
    compress, decoder = CODINGS[name]
    for length in range(65_400, 66_200):
        whole = compress(bytes(length))
        assert len(_decode(decoder(), whole[: len(whole) - trailer + kept], 1000)) == length


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_optional_fields_of_a_gzip_header_are_passed_over(size: int) -> None:
    whole = gzip.compress(b"data")
    fields = {4: b"\x05\0extra", 8: b"name\0", 16: b"a comment\0", 2: b"\0\0"}
    for flags in range(0, 32, 2):
        present = b"".join(value for bit, value in fields.items() if flags & bit)
        member = whole[:3] + bytes([flags]) + whole[4:10] + present + whole[10:]
        assert _decode(GzipDecoder(), member + member, size) == b"data" * 2
        with pytest.raises(EntryFailure) as caught:
            _decode(GzipDecoder(), member + member[: 10 + len(present)], size)
        assert caught.value.reason is Reason.TRUNCATED


@pytest.mark.parametrize(
    "head", [b"\x1f\x8b\x07", b"\x1f\x8b\x08\x20", b"\x1f\x8b\x08\x08" + b"x" * 300_000, b"\x1f\x8c"]
)
def test_an_invalid_gzip_header_is_corrupt(head: bytes) -> None:
    for start in (b"", gzip.compress(b"data") if head[1] == 0x8B else b""):
        with pytest.raises(EntryFailure) as caught:
            _decode(GzipDecoder(), start + head + bytes(50), 50_000)
        assert caught.value.reason is Reason.CORRUPT_IMAGE


def test_a_zstandard_window_above_8_mib_is_refused() -> None:
    options = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.enable_long_distance_matching: 1}
    compressor = zstd.ZstdCompressor(options=options)
    large = compressor.compress(bytes(100)) + compressor.flush()
    with pytest.raises(EntryFailure):
        _decode(ZstandardDecoder(), large, 1000)


def _decode(decoder: Decoder, compressed: bytes, size: int) -> bytes:
    out = b""
    for start in range(0, len(compressed), size):
        out += b"".join(decoder.feed(compressed[start : start + size]))
    decoder.finish()
    return out
