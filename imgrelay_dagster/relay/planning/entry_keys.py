"""The key of each entry: the manifest's own, one made from the run's pattern, or the default key."""

from collections.abc import Callable

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.keys import check_key
from imgrelay_dagster.relay.manifest.rows import ManifestRow
from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.planning.key_extension import ExtensionRule, KeyExtension
from imgrelay_dagster.relay.planning.key_pattern import KeyPattern
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.name_limits import NameLimits


class EntryKeys:
    """Gives each entry of a run its key.

    Args:
        day: the run's day, for patterns; today if None.
    """

    def __init__(self, settings: Settings, day: str | None = None) -> None:
        extension = settings.output.extension.removeprefix(".")
        rule = KeyExtension(settings.key_extension) if settings.key_extension else None
        self._settings = settings
        self._rule = ExtensionRule(rule, extension)
        self._limits = NameLimits(settings.destination)
        self._pattern: KeyPattern | None = None
        if settings.key is not None:
            self._pattern = KeyPattern(settings.key, dataset=settings.dataset, extension=extension, day=day)

    def key_of(self, row: ManifestRow, template: str) -> str:
        """The key of one entry.

        Raises:
            EntryFailure: `invalid_entry`, when the key is unsafe, too long for the destination, or cannot be made.
        """
        if row.key is not None:
            key = self._rule.apply(row.key, from_pattern=False)
        elif self._pattern is not None:
            key = self._rule.apply(self._pattern.key(row, template), from_pattern=True)
        else:
            key = self._settings.default_key(row.url)
        for possible in self._settings.possible_keys(key):
            check_key(possible)
        key = self._settings.key_prefix + key
        for possible in self._settings.possible_keys(key):
            problem = self._limits.find_problem(possible)
            if problem:
                raise EntryFailure(Reason.INVALID_ENTRY, f"key {problem}")
        return key

    def report(self, tell: Callable[[str], None]) -> None:
        """Tell what was conspicuous in the keys as a whole."""
        self._rule.report(tell)
