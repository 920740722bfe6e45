"""Numbers formatted for people."""

from imgrelay_dagster.relay.formatting import percent, seconds, size


def test_numbers_are_formatted_with_their_unit():
    assert [seconds(value) for value in (0, 0.0123, 0.9999, 3.4, 61, 3600, 4800)] == [
        "0 s",
        "12 ms",
        "1 s",
        "3.4 s",
        "61 s",
        "1 h",
        "1 h 20 min",
    ]
    assert [size(value) for value in (0, 999, 1500, 2_340_000, 5e13)] == ["0 B", "999 B", "1.5 kB", "2.3 MB", "50 TB"]
    assert [percent(*pair) for pair in ((0, 9), (1, 10_000), (9_999, 10_000), (1, 3), (2, 2))] == [
        "0 %",
        "< 0.1 %",
        "> 99.9 %",
        "33.3 %",
        "100 %",
    ]
