"""Keys whose extension contradicts the output format, such as `a.png` for a JPEG."""

from collections.abc import Callable
from enum import StrEnum

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.keys import IMAGE_EXTENSION
from imgrelay_dagster.relay.open_keys import OPEN
from imgrelay_dagster.relay.outcomes import Reason

_SAME = {"jpg": ("jpg", "jpeg", "jpe", "jfif"), "tif": ("tif", "tiff")}
"""Extensions that mean the same format, by the one that imgrelay writes."""


class KeyExtension(StrEnum):
    """What to do about such a key."""

    KEEP = "keep"
    REPLACE = "replace"
    REFUSE = "refuse"


class ExtensionRule:
    """Applies the rule to the keys of a run.

    Args:
        rule: the rule; None keeps keys of the manifest and replaces the extension in those made from a pattern.
        extension: of the output format, without a dot; `*` for that of the source, which no key can contradict yet.
    """

    def __init__(self, rule: KeyExtension | None, extension: str) -> None:
        self._rule = rule
        self._extension = extension
        self._right = _SAME.get(extension, (extension,))
        self._kept = 0
        self._example = ""

    def apply(self, key: str, *, from_pattern: bool) -> str:
        """The key to use.

        Raises:
            EntryFailure: `invalid_entry`, when such keys are refused.
        """
        found = IMAGE_EXTENSION.search(key)
        if found is None or found[0][1:].lower() in self._right:
            return key
        rule = self._rule or (KeyExtension.REPLACE if from_pattern else KeyExtension.KEEP)
        if rule is KeyExtension.REFUSE:
            stored, advice = f"as .{self._extension}", "correct it"
            if self._extension == OPEN:
                stored, advice = "in the formats of their sources", f"end it in .{OPEN}"
            raise EntryFailure(
                Reason.INVALID_ENTRY,
                f"key ends in {found[0]!r}, but images are stored {stored}; {advice}, or set key_extension to "
                "replace or keep",
            )
        if rule is KeyExtension.REPLACE:
            return f"{key[: found.start()]}.{self._extension}"
        self._kept += 1
        self._example = self._example or key
        return key

    def report(self, tell: Callable[[str], None]) -> None:
        """Tell how many keys were kept although their extension contradicts the format."""
        if self._kept and self._extension == OPEN:
            tell(
                f"{self._kept:,} keys keep their extension whatever the format of the source, such as "
                f"{self._example!r}; end them in .{OPEN}, or set key_extension: replace"
            )
        elif self._kept:
            tell(
                f"{self._kept:,} keys have an extension that contradicts the format, such as {self._example!r} for "
                f".{self._extension}; key_extension: replace corrects them"
            )
