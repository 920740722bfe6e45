"""Decoding Content-Encoding."""

import gzip

from hypothesis import given
from hypothesis import strategies as st

from imgrelay_dagster.relay.fetch.content_encoding import Inflater


def test_decompressed_chunks_are_bounded_at_any_compression_ratio() -> None:
    largest = max(map(len, Inflater("gzip").feed(gzip.compress(bytes(20_000_000)))))
    assert largest == 64 * 1024


@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=4), st.integers(1, 500))
def test_gzip_with_several_members_is_decoded_from_chunks_of_any_size(members: list[bytes], size: int) -> None:
    compressed = b"".join(map(gzip.compress, members))
    inflater, out = Inflater("gzip"), b""
    for start in range(0, len(compressed), size):
        out += b"".join(inflater.feed(compressed[start : start + size]))
    inflater.finish()
    assert out == b"".join(members)
