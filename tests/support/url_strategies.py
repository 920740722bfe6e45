"""Hypothesis strategies for URLs: arbitrary text, and text shaped like a URL."""

from hypothesis import strategies as st

any_text = st.text(alphabet=st.characters(categories=None), max_size=40)
"""Also with control characters and surrogates."""

url_like_text = st.builds(
    "{}://{}{}/{}{}".format,
    st.sampled_from(["http", "https", "ftp", ""]),
    st.sampled_from(["", "user:secret@", "@"]),
    st.one_of(any_text, st.sampled_from(["h", "_relay", "[::1]", "..", "münchen.de"])),
    st.one_of(any_text, st.sampled_from(["..", "%2e%2e", "a.jpg", "%2F_relay%2F", "画像.png", "x" * 300])),
    st.one_of(st.just(""), st.just("?sig=s3cret#f"), any_text),
)
