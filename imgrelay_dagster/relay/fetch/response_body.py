"""The answer to a request: its status, and its body in chunks."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from urllib3.response import HTTPResponse

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.fetch.backoff import is_transient_status, parse_retry_after
from imgrelay_dagster.relay.fetch.connections import has_excess_data
from imgrelay_dagster.relay.fetch.error_mapping import HTTP_ERRORS, clear_traceback_frames, failure_in_body
from imgrelay_dagster.relay.fetch.proxy_answers import status_text
from imgrelay_dagster.relay.outcomes import Reason

_CHUNK_SIZE = 64 * 1024  # bytes read at a time


class Writable(Protocol):
    """Receives the body, in chunks of at most 64 KiB."""

    def write(self, data: bytes, /) -> object: ...


Sink = Callable[[], AbstractContextManager[Writable]]
"""Opens a destination for one body. Leaving it without an exception keeps the body; leaving with one discards it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The final response to a request: its status, its body's size in bytes, and the validators of its body."""

    status: int
    size: int
    validators: Mapping[str, str] = field(default_factory=dict)


def read_chunk(response: HTTPResponse, received: int) -> bytes:
    """The next bytes of a body of which `received` bytes were read; none at its end."""
    remaining = response.length_remaining
    if remaining == 0 and received:
        return b""
    try:
        if remaining == 1 and has_excess_data(response):
            detail = f"the body is longer than the {received + 1:,} bytes of its Content-Length"
            raise EntryFailure(Reason.TRUNCATED, detail, transient=True)
        # The last byte is read separately: `has_excess_data` must be called before it.
        size = _CHUNK_SIZE if remaining is None else min(_CHUNK_SIZE, max(1, remaining - 1))
        return response.read1(size, decode_content=False)
    except (*HTTP_ERRORS, OSError) as error:
        failure = failure_in_body(error, received)
        clear_traceback_frames(error)
    raise failure


def status_failure(response: HTTPResponse, host: str) -> EntryFailure:
    """The failure of a response whose status is no success."""
    return EntryFailure(
        Reason.HTTP_STATUS,
        f"{host} returned {status_text(response.status)}",
        transient=is_transient_status(response.status),
        retry_after=parse_retry_after(response.headers.get("Retry-After"), datetime.now(UTC)),
    )
