"""Reads manifests: the list of images to relay, as text, CSV or JSON lines, plain or gzip.

It is given bytes and opens nothing. Memory stays flat whatever the size of the manifest or of one line.
"""

import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.csv_rows import csv_rows
from imgrelay_dagster.relay.manifest.lines import MAX_LINE, Line, physical_lines
from imgrelay_dagster.relay.manifest.rows import BLANKS, BadRow, ManifestRow, Row, bad_row, make_row
from imgrelay_dagster.relay.records.dataset_names import check_dataset, dataset_name

__all__ = [
    "BadRow",
    "ManifestRow",
    "Row",
    "check_dataset",
    "dataset_name",
    "is_manifest_name",
    "read_lines",
    "read_manifest",
]


def read_manifest(stream: BinaryIO, name: str) -> Iterator[Row]:
    """Yield a row for every line of a manifest that is neither blank nor a comment, in order.

    A malformed line becomes a `BadRow` and reading goes on; a line over 64 KiB is one.

    Args:
        stream: the file's bytes, read once from here to the end; `read(size)` is all it needs.
        name: file name or address. Its suffix, in any case, says the format: `.txt`, `.csv`, `.jsonl` or
            `.ndjson`, each also with `.gz`.

    Raises:
        RelayError: at once for an unknown suffix; while being iterated, after the rows ahead of the trouble,
            for what is not UTF-8, not whole gzip, or CSV without a usable header.
    """
    plain = name.lower().removesuffix(".gz")
    rows = _FORMATS.get(_suffix(plain))
    if rows is None:
        raise RelayError(
            f"manifest {name!r} has no known suffix; let its name end in {', '.join(_FORMATS)}, or one of these and .gz"
        )
    return rows(physical_lines(stream, name, packed=plain != name.lower()), name)


def is_manifest_name(name: str) -> bool:
    """Whether the name ends as a manifest's does."""
    return _suffix(name.lower().removesuffix(".gz")) in _FORMATS


def _suffix(name: str) -> str:
    return name[name.rfind(".") :] if "." in name else ""


def read_lines(urls: Iterable[str]) -> Iterator[Row]:
    """Yield a row for each URL given directly, by the rules of a `.txt` manifest.

    Args:
        urls: one URL an item, counted from 1; or pasted text, which is cut into lines first.
    """
    if isinstance(urls, str):
        urls = (line.removesuffix("\n") for line in io.StringIO(urls, newline=None))
    lines = (Line(number, url, _is_short(url)) for number, url in enumerate(urls, 1))
    return _text_rows(lines, "")


def _text_rows(lines: Iterator[Line], _name: str) -> Iterator[Row]:
    """A URL a line. A line that starts with `#` is a comment; elsewhere `#` belongs to the URL."""
    for number, text, whole in lines:
        url = text.strip(BLANKS)
        if url and not url.startswith("#"):
            yield make_row(number, text, url) if whole else _too_long(number, text)


def _json_rows(lines: Iterator[Line], _name: str) -> Iterator[Row]:
    """An object a line, or the URL alone as a string. Further fields are ignored; there are no comments."""
    for number, text, whole in lines:
        stripped = text.strip(BLANKS)
        if stripped:
            yield _json_row(number, stripped) if whole else _too_long(number, text)


def _json_row(number: int, text: str) -> Row:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        return bad_row(number, text, f"broken JSON: {error.msg} at character {error.pos + 1}")
    except (ValueError, RecursionError):
        return bad_row(number, text, "broken JSON: a number too long or a nesting too deep")
    if isinstance(value, str):
        return make_row(number, text, value)
    if not isinstance(value, dict):
        return bad_row(number, text, f"a line must be an object or a string, not {type(value).__name__}")
    return make_row(number, text, value.get("url"), value.get("key"), value.get("template"))


def _too_long(number: int, text: str) -> BadRow:
    return bad_row(number, text, f"line longer than {MAX_LINE:,} bytes")


def _is_short(text: str) -> bool:
    return len(text) <= MAX_LINE // 4 or len(text.encode(errors="replace")) <= MAX_LINE


_FORMATS: dict[str, Callable[[Iterator[Line], str], Iterator[Row]]] = {
    ".txt": _text_rows,
    ".csv": csv_rows,
    ".jsonl": _json_rows,
    ".ndjson": _json_rows,
}
