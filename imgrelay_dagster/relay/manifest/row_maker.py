"""Makes the rows of a manifest from the values of its lines, in the same way for every format."""

import json
import re
from collections.abc import Sequence

from imgrelay_dagster.relay.manifest.cells import urls_in
from imgrelay_dagster.relay.manifest.columns import ColumnMap
from imgrelay_dagster.relay.manifest.extras import expected_source, fallback_urls, focus_text
from imgrelay_dagster.relay.manifest.options import ReadOptions
from imgrelay_dagster.relay.manifest.rows import InvalidValue, ManifestRow, Row, bad_row, clean_value

_NOTHING = (None,) * 7

MAX_CARRIED = 2_000
"""Characters kept of a carried value."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class RowMaker:
    """Makes rows by the options of one manifest."""

    def __init__(self, options: ReadOptions) -> None:
        self._columns = options.columns

    def from_url(self, line: int, text: str, url: object) -> list[Row]:
        """The rows of a line that holds nothing but URLs. `text` is the whole line."""
        return self._rows(line, text, url, {})

    def from_values(self, line: int, text: str, values: Sequence[object], columns: ColumnMap) -> list[Row]:
        """The rows of a line of a table; a single bad row when a value cannot be used, none for a skipped line.

        Args:
            text: the line as it stands in the manifest.
            values: the values of the line; those of the last columns may be missing.
        """
        count = len(values)
        url, *others = (values[index] if index is not None and index < count else None for index in columns.fields)
        mirrors = [values[index] for index in columns.fallbacks if index < count] if columns.fallbacks else []
        carried = {
            name: carried_text(values[index]) if index is not None and index < count else ""
            for name, index in columns.carried
        }
        return self._rows(line, text, url, carried, others, mirrors)

    def _rows(
        self,
        line: int,
        text: str,
        url: object,
        carried: dict[str, str],
        others: Sequence[object] = _NOTHING,
        mirrors: list[object] | None = None,
    ) -> list[Row]:
        if self._columns.skip_empty and (not url or (isinstance(url, str) and not url.strip())):
            return []
        try:
            urls = urls_in(url, self._columns.split)
        except InvalidValue as error:
            return [bad_row(line, text, str(error), carried)]
        try:
            key, template, sha256, md5, size, _, focus = others
            own_key = clean_value("key", key) or None
            own_template = clean_value("template", template) or None
            expected = {}
            if sha256 or md5 or size:
                is_named = self._columns.size is not None
                expected = expected_source(sha256, md5, size if len(urls) == 1 else None, size_is_named=is_named)
            if expected and len(urls) > 1:
                raise InvalidValue(f"a checksum belongs to one URL, but the cell holds {len(urls)}")
            fallbacks = fallback_urls(mirrors) if mirrors else ()
        except InvalidValue as error:  # the URL is known, so the results show it in place of the line
            return [bad_row(line, shown, str(error), carried) for shown, _ in urls[:1]]
        own_focus = focus_text(focus) if focus else None
        if len(urls) == 1:
            url, given = urls[0]
            return [ManifestRow(line, url, own_key, own_template, 0, given, carried, expected, fallbacks, own_focus)]
        return [
            ManifestRow(
                line,
                mended,
                own_key and numbered_key(own_key, part),
                own_template,
                part,
                given,
                carried,
                {},
                fallbacks,
                own_focus,
            )
            for part, (mended, given) in enumerate(urls, 1)
        ]


def numbered_key(key: str, number: int) -> str:
    """The key of one of several images of a line: `chairs/1.jpg` becomes `chairs/1-2.jpg`."""
    folder, slash, name = key.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    if not stem:
        stem, dot, extension = name, "", ""
    return f"{folder}{slash}{stem}-{number}{dot}{extension}"


def carried_text(value: object) -> str:
    """A carried value as text of at most `MAX_CARRIED` characters; "" when it is missing."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else _plain_text(value)
    if len(text) > MAX_CARRIED:
        text = text[: MAX_CARRIED - 1] + "…"
    return text if text.isprintable() else _UNSTORABLE.sub("\ufffd", text)


def _plain_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
