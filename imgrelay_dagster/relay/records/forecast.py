"""What a sample of a list says about all of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from imgrelay_dagster.relay import formatting


@dataclass(frozen=True, slots=True)
class Forecast:
    """What relaying a whole list would take, extrapolated from a sample of its entries.

    Attributes:
        entries: entries of the list.
        seconds: wall time.
        bytes_in, bytes_out: bytes to download and to store.
        requests: requests to origins.
        failed: entries that would fail; `reasons` counts them by reason.
    """

    entries: int
    seconds: float
    bytes_in: int
    bytes_out: int
    requests: int
    failed: int
    reasons: dict[str, int]

    def lines(self) -> list[tuple[str, str]]:
        """The forecast as pairs of a label and a text, for people."""
        failed = formatting.count(self.failed)
        if self.reasons:
            failed += f": {formatting.most_frequent(self.reasons, len(self.reasons))}"
        return [
            ("forecast", f"for all {formatting.count(self.entries)} entries, if they are like this sample"),
            ("  time", f"about {formatting.seconds(self.seconds)}"),
            ("  bytes", f"{formatting.size(self.bytes_in)} to download, {formatting.size(self.bytes_out)} to store"),
            ("  requests", formatting.count(self.requests)),
            ("  failed", failed),
        ]

    def sentence(self) -> str:
        """The forecast in one line."""
        (_, scope), *facts = self.lines()
        return f"forecast {scope}: " + "; ".join(f"{name.strip()} {text}" for name, text in facts)


def forecast(
    entries: int,
    *,
    sampled: int,
    seconds: float,
    first_image_seconds: float | None,
    bytes_in: int,
    bytes_out: int,
    requests: int,
    reasons: Mapping[str, int],
) -> Forecast | None:
    """Extrapolate from a sample; None if the list or the sample is empty.

    The time until the first image, in which the run starts and reads the list, is counted once.

    Args:
        entries: entries of the list.
        sampled: entries of the sample that ended.
        seconds: wall time of the sample's run.
    """
    if not entries or not sampled:
        return None
    scale, start = entries / sampled, min(first_image_seconds or 0.0, seconds)
    failures = {reason: round(count * scale) for reason, count in reasons.items()}
    return Forecast(
        entries,
        round(start + (seconds - start) * scale, 3),
        round(bytes_in * scale),
        round(bytes_out * scale),
        round(requests * scale),
        sum(failures.values()),
        failures,
    )
