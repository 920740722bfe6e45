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
from imgrelay_dagster.relay.fetch.codings import BrotliDecoder, Inflater, ZstandardDecoder
from imgrelay_dagster.relay.fetch.content_encoding import Decoder
from imgrelay_dagster.relay.outcomes import Reason

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CODINGS: dict[str, tuple[Callable[[bytes], bytes], Callable[[], Decoder]]] = {
    "gzip": (gzip.compress, lambda: Inflater("gzip")),
    "deflate": (zlib.compress, lambda: Inflater("deflate")),
    "raw deflate": (lambda data: zlib.compress(data)[2:-4], lambda: Inflater("deflate")),
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
