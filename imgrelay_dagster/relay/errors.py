"""The engine's exceptions: failures of one entry, errors of the whole run, deferred downloads, and stopping."""

from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.redact import redact_text


class EntryFailure(Exception):
    """One entry failed. It becomes that entry's outcome and does not affect other entries.

    Args:
        reason: one of the closed list.
        detail: a sentence for humans; `redact_text` removes credentials and query strings from it.
        http_status: status of the final response, if there was one.
        transient: whether a retry of the same request may succeed.
        retry_after: seconds that the server asked to wait, if it did.
        attempts: attempts made before giving up; 0 when no request was made.
        unreachable: nobody answered: the name has no address, or no connection could be opened.

    Attributes:
        request_made: False if the attempt ended before its first request, at a blocked address.
        closed: the connection was closed before the first byte of a response.
        excused: the host refused the request because there are too many; it does not count as an attempt.
    """

    def __init__(
        self,
        reason: Reason,
        detail: str,
        *,
        http_status: int | None = None,
        transient: bool = False,
        retry_after: float | None = None,
        attempts: int = 0,
        unreachable: bool = False,
    ) -> None:
        self.reason = reason
        self.detail = redact_text(detail)
        super().__init__(f"{reason.value}: {self.detail}")
        self.http_status = http_status
        self.transient = transient
        self.retry_after = retry_after
        self.attempts = attempts
        self.request_made = True
        self.unreachable = unreachable
        self.closed = False
        self.excused = False

    def add(self, sentence: str) -> None:
        """Add to the detail."""
        self.detail += redact_text(sentence)


class RelayError(Exception):
    """The whole run cannot continue: a bad manifest, template or destination, a full disk.

    The message names the thing, the value and the solution. It is shown to users after `redact_text`.
    """

    def __init__(self, message: str) -> None:
        super().__init__(redact_text(message))


class StoreFailure(RelayError):
    """A store does not answer, or refuses; nothing is known about what it holds."""


class Deferred(Exception):
    """A download takes far longer than the others, or its host is not to be asked yet; it is retried later.

    Args:
        attempts: requests made so far.
        wait: seconds to wait before the next request.
        cause: `slow`, `busy` (the host is asked as often as it bears) or `down` (nobody answers there).
        excused: requests that do not count as attempts, because the host refused them for their number.
    """

    def __init__(self, attempts: int = 0, wait: float = 0.0, *, cause: str = "slow", excused: int = 0) -> None:
        super().__init__("deferred")
        self.cause = cause
        self.excused = excused
        self.attempts = attempts
        self.wait = wait


class Stopped(Exception):
    """The run was stopped while this entry was in progress; the entry counts as not attempted."""
