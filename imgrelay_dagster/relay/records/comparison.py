"""What is different from the dataset's previous run."""

from dataclasses import dataclass, field

from imgrelay_dagster.relay import formatting


@dataclass(frozen=True, slots=True)
class Comparison:
    """The entries of a run beside those of the previous run of its dataset.

    An entry is the same one if its key is, whatever the extension. `new` entries were not in the previous run's list,
    `gone` ones are not in this one's; None if this list is known to be a part of it. `changed` images have other bytes
    than before. `failed_again` failed in both runs, `newly_failed` were stored before, `recovered` failed before and
    are stored now. `examples` has the first keys of each.
    """

    run_id: str
    new: int
    gone: int | None
    changed: int
    failed_again: int
    newly_failed: int
    recovered: int
    examples: dict[str, list[str]] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """The numbers by name, in the order in which they are shown."""
        names = ("new", "gone", "changed", "failed_again", "newly_failed", "recovered")
        found = {name: getattr(self, name) for name in names}
        return {name: count for name, count in found.items() if count is not None}

    def sentence(self) -> str:
        """The comparison in one line."""
        parts = [f"{formatting.count(count)} {WORDS[name]}" for name, count in self.counts().items() if count]
        return f"compared with run {self.run_id}: {', '.join(parts) or 'no difference'}"


WORDS = {
    "new": "new",
    "gone": "gone from the list",
    "changed": "changed",
    "failed_again": "failed then and now",
    "newly_failed": "stored then and failed now",
    "recovered": "failed then and stored now",
}
"""The numbers in words."""
