"""What can be changed about a run while it is under way, and the text form in which its tag carries it."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from imgrelay_dagster.relay.errors import RelayError

PAUSED = "paused"
"""The word that stands for a pause."""

EXAMPLE = "max_requests_per_second=20 threads=8 tolerated_failure_percentage=10 paused"


@dataclass(frozen=True, slots=True)
class Adjustments:
    """Changes to a run's settings; None leaves a setting as it was configured.

    Attributes:
        max_requests_per_second: requests per second to one host, of the whole run.
        threads: concurrent downloads in each download step, at most.
        tolerated_failure_percentage: share of the entries that may fail, 0 to 100.
        paused: no download is started; what is under way is finished, composed and stored.
    """

    max_requests_per_second: float | None = None
    threads: int | None = None
    tolerated_failure_percentage: float | None = None
    paused: bool = False

    @classmethod
    def parse(cls, text: str) -> "Adjustments":
        """Parse words such as `EXAMPLE`, separated by spaces or commas.

        Raises:
            RelayError: a word is not known, or its value is not valid.
        """
        found = cls()
        for word in text.replace(",", " ").split():
            name, equals, value = word.partition("=")
            if word == PAUSED:
                found = replace(found, paused=True)
            elif equals and name in _VALUES:
                changed: dict[str, Any] = {name: _number(name, value)}
                found = replace(found, **changed)
            else:
                raise RelayError(f"{word!r} adjusts nothing; write words such as {EXAMPLE}")
        return found

    def to_text(self) -> str:
        """The words that `parse` reads; empty if nothing is changed."""
        words = [f"{name}={value:g}" for name, value in self.values().items() if name != PAUSED]
        return " ".join([*words, PAUSED] if self.paused else words)

    def values(self) -> dict[str, Any]:
        """What is changed, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None and value is not False}

    def over(self, others: "Adjustments") -> "Adjustments":
        """These adjustments, with those of `others` for what these leave as it was."""
        return replace(others, **self.values())


_VALUES = {
    "max_requests_per_second": (0.001, 100_000.0, False),
    "threads": (1, 128, True),
    "tolerated_failure_percentage": (0.0, 100.0, False),
}
"""By name: the least and the largest value, and whether it is a whole number."""


def _number(name: str, text: str) -> float:
    least, most, is_whole = _VALUES[name]
    try:
        value = int(text) if is_whole else float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        kind = "a whole number" if is_whole else "a number"
        raise RelayError(f"{name}={text} must be {kind} from {least:g} to {most:g}")
    return value
