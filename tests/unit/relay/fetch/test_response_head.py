"""Reading the head of a response as browsers do."""

from http.client import BadStatusLine, UnknownProtocol
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgrelay_dagster.relay.fetch.response_head import MAX_HEAD, MAX_LINES, Head, InvalidHead, read_head


def _read(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK\r\n") -> Head:
    return read_head(BytesIO(status + b"".join(line + b"\r\n" for line in lines) + b"\r\nbody"))


@pytest.mark.parametrize(
    "bad",
    [
        *(b"X-FRAME-OPTIONS : SAMEORIGIN", b"Server Name: IMG-7", b"this is no header", b": no name", b"caf\xe9: x"),
        *(b"X(y): z", b"=", b"\tfolded under a line that is no header", b"HTTP/1.1 200 OK", b"<html>"),
    ],
)
def test_a_malformed_line_is_passed_over_and_the_others_count(bad: bytes) -> None:
    for lines in (
        (bad, b"A: 1", b"B: 2"),
        (b"A: 1", bad, b"B: 2") if bad[:1] != b"\t" else (b"=", bad, b"A:1", b"B:2"),
    ):
        assert _read(*lines).headers == [("A", "1"), ("B", "2")]


def test_folded_lines_belong_to_the_header_above_them() -> None:
    assert _read(b"A: 1", b"  2", b"\t3", b"B: 4").headers == [("A", "1 2 3"), ("B", "4")]


def test_values_keep_their_bytes_as_latin_1() -> None:
    assert _read("Location: /ü.jpg".encode()).message()["location"].encode("latin-1").decode() == "/ü.jpg"


def test_interim_responses_and_line_breaks_before_the_response_are_skipped() -> None:
    interim = b"\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    assert _read(b"A: 1", status=interim + b"HTTP/1.1 200 OK\r\n").headers == [("A", "1")]
    assert _read(status=b"ICY 200 OK\r\n").status_line == b"HTTP/1.0 200 OK\r\n"
    with pytest.raises(InvalidHead, match="interim"):
        _read(status=interim[2:] * 20)


def test_the_limits_are_named() -> None:
    assert len(_read(*[b"A: 1"] * MAX_LINES).headers) == MAX_LINES
    assert len(_read(b"A: " + b"x" * 200_000).headers) == 1
    with pytest.raises(InvalidHead, match="more than 1,000 header lines"):
        _read(*[b"A: 1"] * (MAX_LINES + 1))
    with pytest.raises(InvalidHead, match="more than 256 KiB of response headers"):
        _read(b"A: " + b"x" * MAX_HEAD)


@given(st.binary(max_size=200))
def test_any_bytes_of_a_value_stay_one_header(data: bytes) -> None:
    head = read_head(BytesIO(b"HTTP/1.1 200 OK\r\nContent-Length:" + data.replace(b"\n", b"") + b"\r\n\r\n"))
    assert len(head.message().items()) == 1


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\n", (11, 200, "OK")),
        (b"HTTP/1.0 404 Not  Found \n", (10, 404, "Not  Found")),
        (b"HTTP/0.9 200\r\n", (10, 200, "")),
        (b"HTTP/1.2\t304\r\n", (11, 304, "")),
    ],
)
def test_a_status_line(line: bytes, expected: tuple[int, int, str]) -> None:
    assert _read(status=line).status() == expected


@pytest.mark.parametrize(
    "line", [b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1", b"200 OK", b"<html>", b"\xb2 200"]
)
def test_what_is_no_status_line(line: bytes) -> None:
    with pytest.raises(BadStatusLine):
        _read(status=line + b"\r\n").status()


def test_another_version_of_http() -> None:
    with pytest.raises(UnknownProtocol):
        _read(status=b"HTTP/2 200 OK\r\n").status()
