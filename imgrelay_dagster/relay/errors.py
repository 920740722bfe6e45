"""The kinds of trouble: what ends one entry, what ends the run, and what only puts off."""

from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.redact import redact_text


class EntryFailure(Exception):
    """One entry failed. It becomes that entry's outcome and never reaches another entry.

    Args:
        reason: one of the closed list.
        detail: a sentence for a human; no credentials, no query strings (`redact_text` sees to it).
        http_status: status of the final response, where there was one.
        transient: whether the same request may succeed a moment later.
        retry_after: seconds the server asked to wait, where it did.
        attempts: tries made before giving up; 0 when there was nothing to try.
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
    ) -> None:
        self.reason = reason
        self.detail = redact_text(detail)
        super().__init__(f"{reason.value}: {self.detail}")
        self.http_status = http_status
        self.transient = transient
        self.retry_after = retry_after
        self.attempts = attempts


class RelayError(Exception):
    """The run as a whole cannot go on: a bad manifest, template or destination, a full disk.

    The message names the thing, the value and the way out; it is shown to the user as `redact_text` leaves it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(redact_text(message))


class Deferred(Exception):
    """This download takes far longer than the others; it is to be tried again when they are done.

    Args:
        attempts: requests made so far.
        wait: seconds until it may be asked for again.
    """

    def __init__(self, attempts: int = 0, wait: float = 0.0) -> None:
        super().__init__("set aside")
        self.attempts = attempts
        self.wait = wait


class Stopped(Exception):
    """The run was told to stop while this entry was being worked on; the entry is not attempted."""
