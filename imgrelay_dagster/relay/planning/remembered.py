"""Failures that earlier runs remember as permanent: which of them still stand, and what their detail says."""

from datetime import UTC, datetime

from imgrelay_dagster.relay.imaging.decoder_version import DECODER_REASONS, decoder_version
from imgrelay_dagster.relay.outcomes import NOT_ASKED, Reason, Record, is_permanent
from imgrelay_dagster.relay.settings import Settings

_DAY = 86_400.0


def remembered_detail(receipt: Record, settings: Settings, now: float) -> str | None:
    """The detail of an entry that is not asked for again, because of its last failure; None if it is to be asked.

    Args:
        receipt: the entry's latest receipt, of a failure.
        now: seconds since the epoch.
    """
    if not is_permanent(receipt) or settings.retry_permanent or str(receipt.reason) in settings.retry_reasons:
        return None
    if receipt.at is None or now - receipt.at >= settings.retry_permanent_after * _DAY:
        return None
    if receipt.reason in DECODER_REASONS and receipt.decoder != decoder_version():
        return None
    day = datetime.fromtimestamp(receipt.at, UTC).date().isoformat()
    answer = f"answered {receipt.http_status}" if receipt.reason is Reason.HTTP_STATUS else f"failed ({receipt.reason})"
    detail = f"{NOT_ASKED}; {answer} on {day}; --retry-permanent asks again"
    return f"{detail} ({receipt.detail})" if receipt.detail else detail
