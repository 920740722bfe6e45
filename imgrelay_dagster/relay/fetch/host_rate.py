"""The rate at which a host is asked: what it says about itself lowers it, time raises it again.

A host that refuses (429, 503, `Retry-After`, resets) bears less than it is asked for. The rate is searched between the
highest one that it has borne for a second and the lowest one that it has refused. Near that bound the rate rises
slowly, because each try beyond it costs refusals, and more slowly still where each refusal asks for a pause.
"""

from dataclasses import dataclass, field, replace
from math import sqrt

REACTION = 1.0
"""Seconds in which several refusals count as one: they answer requests that were already on their way."""

LOWEST_RATE = 0.2
"""Requests per second to a host that refuses nearly everything."""

TRUSTED_ANSWERS = 4
"""Answers in a second from which their number is a good guess of the rate that a host bears."""

FORGET_AFTER = 60.0
"""Seconds without a refusal after which the bound is forgotten, and the rate rises faster again."""

UNLIMITED_FROM = 1_000.0
"""Requests per second from which a host counts as unlimited again."""


@dataclass(slots=True)
class RateState:
    """What is known about a host, in a form that processes share. Times are in seconds since the epoch.

    Attributes:
        rate: requests per second at present; None for as many as there are.
        good: the highest rate that the host has borne for a while.
        bad: the lowest rate that it has refused.
        paused_until: it asked not to be asked until then.
        changed: when this state was changed.
        refused: when the host refused last.
        lowered: when the rate was lowered last.
        refusing_since: since when it has only refused; 0 if it answers.
        answered: when the host last answered without refusing.
        guesses: by process, what the host had answered it in the second before its first refusal.
        costly: it refused a rate that it was asked at, and asked for a pause.
        down: why nothing answers there, with the reason in `down_reason`; None while somebody does.
    """

    rate: float | None = None
    good: float | None = None
    bad: float | None = None
    paused_until: float = 0.0
    changed: float = 0.0
    refused: float = 0.0
    lowered: float = 0.0
    refusing_since: float = 0.0
    answered: float = 0.0
    down: str | None = None
    down_reason: str | None = None
    costly: bool = False
    guesses: dict[str, float] = field(default_factory=dict)

    def merge(self, other: "RateState") -> "RateState":
        """This state and that of another process: the newer one, with the later of all pauses.

        Of the first refusals each process knows only its own share, so their guesses of the host's rate are added.
        """
        newer = other if other.changed > self.changed else self
        merged = replace(
            newer,
            paused_until=max(self.paused_until, other.paused_until),
            refused=max(self.refused, other.refused),
            lowered=max(self.lowered, other.lowered),
            answered=max(self.answered, other.answered),
        )
        if merged.rate is not None and merged.good is None and abs(self.lowered - other.lowered) < REACTION:
            merged.guesses = {**other.guesses, **self.guesses}
            merged.guess_rate()
        return merged

    def guess_rate(self) -> None:
        """Take what the host answered in the second before its first refusals for its rate."""
        answered = sum(self.guesses.values())
        self.rate = max(LOWEST_RATE, answered)
        self.bad = 1.3 * answered if answered >= TRUSTED_ANSWERS else None

    def lower(self, now: float, answered: float, pause: float, sustained: float = 0.0, process: str = "") -> None:
        """Lower the rate after a refusal.

        Args:
            answered: requests that the host answered this process in the last second; the first guess of its rate.
            pause: seconds for which the host asked to be left alone.
            sustained: requests per second that it answered this process in the last seconds.
            process: a name of this process.
        """
        self.paused_until = max(self.paused_until, now + pause)
        self.refused = now
        self.refusing_since = self.refusing_since or now
        if self.rate is None or (self.good is None and now - self.lowered < REACTION):
            if self.rate is None:
                self.guesses, self.lowered = {}, now
            # Answers that were on their way at the first refusal still count.
            self.guesses = {**self.guesses, process: max(answered, self.guesses.get(process, 0.0))}
            self.guess_rate()
            self.changed = now
            return
        if now - self.lowered < REACTION:
            return
        self.lowered = now
        self.bad = self.rate
        if pause:  # the next refusal costs as much: a host that saves up requests bears `rate` only for a while
            self.bad = min(self.rate, max(0.75 * self.rate, 1.1 * sustained))
            self.costly = True
        if self.good is None or self.good > 0.95 * self.bad:
            self.good = 0.75 * self.bad
        self.rate = max(LOWEST_RATE, sqrt(self.good * self.bad))
        self.changed = now

    def raise_if_due(self, now: float) -> bool:
        """Raise the rate if the host has borne it for `REACTION` seconds; return whether it was raised."""
        if self.rate is None or now - max(self.changed, self.refused, self.paused_until) < REACTION:
            return False
        self.good = self.rate
        if self.bad is not None and now - self.refused > FORGET_AFTER:
            self.bad = None
        if self.bad is None:
            self.rate = 2.0 * self.rate
        elif self.rate < 0.9 * self.bad:
            self.rate = min(sqrt(self.rate * self.bad), 2.0 * self.rate)
        else:
            self.rate *= 1 + (0.001 if self.costly else 0.005) * (now - self.refused)
        if self.rate >= UNLIMITED_FROM:
            self.rate = None
        self.changed = now
        return True
