"""Reads the head of a response as browsers do: a line that is not a header is passed over, the others count.

http.client stops at the first malformed header line and takes the rest of the head for the body, so that one bad
line hides Content-Length, Content-Encoding or Location.
"""

import re
from dataclasses import dataclass
from http.client import BadStatusLine, HTTPException, HTTPMessage, RemoteDisconnected, UnknownProtocol
from typing import BinaryIO

MAX_HEAD = 256 * 1024
"""Maximum bytes of a response's status line and headers."""

MAX_LINES = 1_000
"""Maximum number of header lines."""

MAX_INTERIM_RESPONSES = 16
"""Responses with a status of 1xx before the final one."""

_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):(.*)", re.DOTALL)  # RFC 9112 5; no space before the colon
_STATUS = re.compile(rb"HTTP/\d+(?:\.\d+)?[ \t]+(\d{3})")
_STATUS_LINE = re.compile(r"HTTP/(\S+)\s+([1-9]\d\d)(?:\s+(.*))?", re.ASCII | re.DOTALL)
_MAX_EMPTY_LINES = 2  # line breaks after the previous body, which old servers send


class InvalidHead(HTTPException):
    """The head of a response is not acceptable. The message continues "<host> sent ..."."""


@dataclass(frozen=True, slots=True)
class Head:
    """The status line of a final response as it was sent, and its headers in order."""

    status_line: bytes
    headers: list[tuple[str, str]]

    def status(self) -> tuple[int, int, str]:
        """HTTP version (10 or 11, as http.client has it), status and reason phrase.

        Raises:
            BadStatusLine: the status line is none.
            UnknownProtocol: it is of another version of HTTP.
        """
        line = self.status_line.decode("latin-1")
        parts = _STATUS_LINE.fullmatch(line.strip())
        if parts is None:
            raise BadStatusLine(line)
        version, status, reason = parts.groups(default="")
        if version in ("1.0", "0.9"):
            return 10, int(status), reason
        if not version.startswith("1."):
            raise UnknownProtocol(version)
        return 11, int(status), reason

    def message(self) -> HTTPMessage:
        """The headers as http.client represents them."""
        message = HTTPMessage()
        for name, value in self.headers:
            message.set_raw(name, value)  # as parsers do; an assignment would check what `_text` has checked
        return message


def read_head(stream: BinaryIO) -> Head:
    """Read the head of the final response. Interim responses (102, 103 and other 1xx, RFC 9110 15.2) are skipped.

    101 is final, because what follows it is not HTTP.

    Raises:
        InvalidHead: it is larger than the limits, or there are too many interim responses.
        RemoteDisconnected: the connection was closed before a response.
    """
    for _ in range(MAX_INTERIM_RESPONSES):
        reader = _LineReader(stream)
        line = reader.status_line()
        if not line:
            raise RemoteDisconnected("closed without a response")
        status = _STATUS.match(line)
        if status is None:
            return Head(line, [])  # `Head.status` raises the error
        headers = list(reader.headers())
        if not 100 <= int(status[1]) < 200 or int(status[1]) == 101:
            return Head(line, headers)
    raise InvalidHead(f"more than {MAX_INTERIM_RESPONSES} interim responses")


class _LineReader:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = MAX_HEAD

    def _line(self) -> bytes:
        line = self._stream.readline(self._left + 1)
        self._left -= len(line)
        if self._left < 0:
            raise InvalidHead(f"more than {MAX_HEAD // 1024} KiB of response headers")
        return line

    def status_line(self) -> bytes:
        line = self._line()
        for _ in range(_MAX_EMPTY_LINES):
            if line not in (b"\r\n", b"\n"):
                break
            line = self._line()
        # Icecast and its relatives; browsers read it as HTTP.
        return b"HTTP/1.0" + line[3:] if line[:4].upper() == b"ICY " else line

    def headers(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        continues = False  # whether a folded line belongs to the last header that was found
        for number in range(MAX_LINES + 1):
            line = self._line()
            if line in (b"\r\n", b"\n", b""):
                return found
            if number == MAX_LINES:
                break
            if line[:1] in (b" ", b"\t"):
                if continues:
                    name, value = found[-1]
                    found[-1] = (name, f"{value} {_text(line)}".strip())
                continue
            field = _FIELD.match(line)
            continues = field is not None
            if field is not None:
                found.append((field[1].decode("ascii"), _text(field[2])))
        raise InvalidHead(f"more than {MAX_LINES:,} header lines")


def _text(value: bytes) -> str:
    # A line break inside a value would end the header when it is written again.
    return value.strip().replace(b"\r", b" ").replace(b"\0", b"").decode("latin-1")
