"""Keys made from a pattern, such as `{sku}/{line:05d}-{name}.{ext}`."""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.keys import IMAGE_EXTENSION, RESERVED_ROOT
from imgrelay_dagster.relay.manifest.rows import ManifestRow
from imgrelay_dagster.relay.open_keys import OPEN
from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.placeholders import Placeholders

OWN_NAMES = ("line", "part", "host", "path", "name", "hash", "template", "dataset", "day", "ext")
"""Names that are not columns: the number of the line, and of the URL in its cell; host, folder and file name of the
URL, and the first 16 hex digits of its SHA-256; the template's name; the dataset; the day of the run, or its
partition; the extension of the output format."""

_ENDS_IN_EXTENSION = re.compile(r"(?:(?!\{ext\b).)*\.\{ext\}", re.DOTALL)
_UNSAFE = re.compile(r"[^\w.-]+")


class KeyPattern:
    """Makes the keys of a run's entries.

    Args:
        text: the pattern.
        dataset: the dataset.
        extension: of the output format, without a dot; `*` for that of the source.
        day: `{day}`; today in UTC if None.

    Raises:
        RelayError: the pattern is not valid, or cannot give each entry a key of its own.
    """

    def __init__(self, text: str, *, dataset: str, extension: str, day: str | None = None) -> None:
        self._pattern = Placeholders.parse(text, "key")
        if text.startswith("/") or text.split("/", maxsplit=1)[0].casefold() == RESERVED_ROOT:
            raise RelayError(
                f"key {text!r} starts with {text.split('/', maxsplit=1)[0] or '/'!r}; start with a name of your own"
            )
        varying = set(self._pattern.names) - {"template", "dataset", "day", "ext"}
        if not varying:
            raise RelayError(
                f"key {text!r} gives all entries the same key; use {{name}}, {{line}}, {{hash}} or a column"
            )
        if extension == OPEN and "ext" in self._pattern.names and not _ENDS_IN_EXTENSION.fullmatch(text):
            raise RelayError(f"key {text!r}: with output format source, {{ext}} may stand only at the end, as .{{ext}}")
        self._dataset, self._extension = dataset, extension
        self._day = day or datetime.now(UTC).date().isoformat()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the manifest that the pattern uses."""
        return pattern_columns(self._pattern)

    def key(self, row: ManifestRow, template: str) -> str:
        """The key of one entry.

        Values become slugs: everything but letters, digits, `.`, `_` and `-` becomes `-`. Only `{path}` keeps slashes.

        Raises:
            EntryFailure: `invalid_entry`, when a column is missing or empty in this line.
        """
        parts = urlsplit(row.url)
        folder, _, name = unquote(parts.path).rpartition("/")
        values: dict[str, str | int] = {
            **{name: row.carried.get(name, "") for name in self.columns},
            "line": row.line,
            "part": row.part,
            "host": (parts.hostname or "").lower(),
            "path": folder,
            "name": IMAGE_EXTENSION.sub("", name) or "image",
            "hash": hashlib.sha256(row.url.encode(errors="surrogatepass")).hexdigest()[:16],
            "template": template.rpartition(".")[0] or template,
            "dataset": self._dataset,
            "day": self._day,
            "ext": self._extension,
        }
        filled = self._pattern.fill(values, _clean)
        return "/".join(segment for segment in filled.split("/") if segment)


def pattern_columns(pattern: Placeholders) -> tuple[str, ...]:
    """The columns of the manifest that a text with placeholders uses."""
    return tuple(name for name in pattern.names if name not in OWN_NAMES)


def _clean(name: str, value: str) -> str:
    """A value as a slug.

    Raises:
        EntryFailure: a column has no value from which a slug can be made.
    """
    if name == "ext":
        return value
    if name == "path":
        return "/".join(filter(None, (_slug(segment) for segment in value.split("/"))))
    slug = _slug(value)
    if not slug and name not in OWN_NAMES:
        problem = "is empty" if not value.strip() else f"holds {value[:40]!r}, of which no name can be made"
        raise EntryFailure(Reason.INVALID_ENTRY, f"key pattern: column {name!r} {problem}")
    return slug


def _slug(value: str) -> str:
    return re.sub(r"\.{2,}", ".", _UNSAFE.sub("-", value)).strip(".-")


def carried_columns(patterns: Mapping[str, str | None]) -> tuple[str, ...]:
    """The columns that texts with placeholders use, each once. The texts are given by what they are for."""
    parsed = [Placeholders.parse(text, what) for what, text in patterns.items() if text]
    return tuple(dict.fromkeys(name for pattern in parsed for name in pattern_columns(pattern)))
