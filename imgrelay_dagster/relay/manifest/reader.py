"""Parse a manifest, the list of images to relay: text, CSV or JSON lines, plain or gzip.

Reads from streams and opens no files. Memory use is constant for any size of the manifest or of one line.
"""

import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.csv_rows import csv_rows
from imgrelay_dagster.relay.manifest.lines import MAX_LINE, Line, physical_lines
from imgrelay_dagster.relay.manifest.rows import BLANKS, BadRow, Row, bad_row, make_row


def read_manifest(stream: BinaryIO, name: str) -> Iterator[Row]:
    """Yield a row for each line of a manifest, in order; blank lines and comments are skipped.

    A malformed line, or one over 64 KiB, becomes a `BadRow`, and reading continues with the next line.

    Args:
        stream: the file's bytes, read once from the current position to the end; only `read(size)` is used.
        name: file name or address. Its suffix decides the format, in upper or lower case: `.txt`, `.csv`, `.jsonl` or
            `.ndjson`, each also with `.gz`.

    Raises:
        RelayError: immediately for an unknown suffix. While being iterated, after the rows before the error, for
            content that is not UTF-8, is not complete gzip, or is CSV without a usable header.
    """
    plain = name.lower().removesuffix(".gz")
    rows = _FORMATS.get(_suffix(plain))
    if rows is None:
        raise RelayError(
            f"manifest {name!r} has no known suffix; let its name end in {', '.join(_FORMATS)}, or one of these and .gz"
        )
    return rows(physical_lines(stream, name, compressed=plain != name.lower()), name)


def is_manifest_name(name: str) -> bool:
    """Whether the name ends in a manifest's suffix."""
    return _suffix(name.lower().removesuffix(".gz")) in _FORMATS


def _suffix(name: str) -> str:
    return name[name.rfind(".") :] if "." in name else ""


def read_lines(urls: Iterable[str]) -> Iterator[Row]:
    """Yield a row for each URL of a list or text, by the rules of a `.txt` manifest.

    Args:
        urls: one URL per item, numbered from 1; or a text, which is split into lines first.
    """
    if isinstance(urls, str):
        urls = (line.removesuffix("\n") for line in io.StringIO(urls, newline=None))
    lines = (Line(number, url, _is_short(url)) for number, url in enumerate(urls, 1))
    return _text_rows(lines, "")


def _text_rows(lines: Iterator[Line], _name: str) -> Iterator[Row]:
    """One URL per line. A line that starts with `#` is a comment; elsewhere `#` belongs to the URL."""
    for number, text, complete in lines:
        url = text.strip(BLANKS)
        if url and not url.startswith("#"):
            yield make_row(number, text, url) if complete else _too_long(number, text)


def _json_rows(lines: Iterator[Line], _name: str) -> Iterator[Row]:
    """One object per line, or only the URL as a string. Other fields are ignored; there are no comments."""
    for number, text, complete in lines:
        stripped = text.strip(BLANKS)
        if stripped:
            yield _json_row(number, stripped) if complete else _too_long(number, text)


def _json_row(number: int, text: str) -> Row:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        return bad_row(number, text, f"broken JSON: {error.msg} at character {error.pos + 1}")
    except (ValueError, RecursionError):
        return bad_row(number, text, "broken JSON: a number is too long or the nesting too deep")
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
