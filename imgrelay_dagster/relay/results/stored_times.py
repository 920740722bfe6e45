"""When a run stored its images: the first of them, and the largest gap between two."""

from itertools import pairwise


class StoredTimes:
    """Collects the times at which images were stored, in any order.

    Of each second only the first and the last time are kept, so memory grows with the duration of a run and not with
    its images.
    """

    def __init__(self) -> None:
        self._seconds: dict[int, tuple[float, float]] = {}

    def add(self, at: float) -> None:
        """Add one stored image, at a time in seconds since any epoch."""
        first, last = self._seconds.get(int(at), (at, at))
        self._seconds[int(at)] = min(first, at), max(last, at)

    @property
    def first(self) -> float | None:
        """When the first image was stored; None if none was."""
        return self._seconds[min(self._seconds)][0] if self._seconds else None

    @property
    def largest_gap(self) -> float | None:
        """The most seconds between two images that were stored one after the other; None for fewer than two images.

        A gap inside of one second is not seen, so the result is 0 if all images were stored within one second.
        """
        if not self._seconds:
            return None
        spans = [self._seconds[second] for second in sorted(self._seconds)]
        gaps = [later[0] - earlier[1] for earlier, later in pairwise(spans)]
        if not gaps and spans[0][0] == spans[0][1]:
            return None
        return max(gaps, default=0.0)
