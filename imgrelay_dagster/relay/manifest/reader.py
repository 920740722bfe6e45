"""Parse a manifest, the list of images to relay, in any of the formats of `manifest_formats`.

Reads from streams and opens no files. Memory use is constant for any size of the manifest or of one line.
"""

import io
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.content import utf8_content
from imgrelay_dagster.relay.manifest.csv_rows import csv_rows
from imgrelay_dagster.relay.manifest.json_rows import json_rows
from imgrelay_dagster.relay.manifest.lines import MAX_LINE, Line, physical_lines
from imgrelay_dagster.relay.manifest.options import ReadOptions
from imgrelay_dagster.relay.manifest.rows import Row
from imgrelay_dagster.relay.manifest.signatures import LONGEST, true_name_of_xls
from imgrelay_dagster.relay.manifest.text_rows import text_rows
from imgrelay_dagster.relay.manifest_formats import (
    BINARY_FORMATS,
    COMPRESSIONS,
    OTHER_FORMATS,
    TEXT_FORMATS,
    manifest_format,
    suffix_of,
)

DEFAULTS = ReadOptions()


def read_manifest(stream: BinaryIO, name: str, options: ReadOptions = DEFAULTS) -> Iterator[Row]:
    """Yield the rows of a manifest, in order; blank lines and comments are skipped.

    A malformed line becomes a `BadRow`, and reading continues with the next line.

    Args:
        stream: the file's bytes, read once from the current position to the end. For text formats only `read(size)` is
            used; the others need `seek` and `tell` too.
        name: file name or address. Its suffix decides the format.
        options: which columns hold what.

    Raises:
        RelayError: immediately for an unknown suffix. While being iterated, after the rows before the error, for
            content that is not what the name says, is not text, or does not say where the URLs are.
    """
    found = manifest_format(name)
    if found is None:
        start = bytes(stream.read(LONGEST)) if suffix_of(name.lower()) == ".xls" else None
        raise RelayError(f"manifest {name!r} {_refusal(name, start)}")
    suffix, compression = found
    if suffix == ".parquet":
        from imgrelay_dagster.relay.manifest.parquet_rows import parquet_rows  # noqa: PLC0415 - an optional extra

        return parquet_rows(stream, name, options)
    if suffix == ".xlsx":
        from imgrelay_dagster.relay.manifest.xlsx_rows import xlsx_rows  # noqa: PLC0415 - an optional extra

        return xlsx_rows(stream, name, options)
    source = utf8_content(stream, name, compression=compression, encoding=options.columns.encoding)
    if suffix in (".jsonl", ".ndjson", ".json"):
        return json_rows(source, name, options, is_lines=suffix != ".json")
    rows = text_rows if suffix == ".txt" else csv_rows
    return rows(physical_lines(source, name), name, options)


def _refusal(name: str, xls_start: bytes | None) -> str:
    plain = name.lower()
    for compression in COMPRESSIONS:
        plain = plain.removesuffix(compression)
    known = f"{', '.join((*TEXT_FORMATS, *BINARY_FORMATS))}; the text formats also with {' or '.join(COMPRESSIONS)}"
    other = OTHER_FORMATS.get(suffix_of(name.lower())) or OTHER_FORMATS.get(suffix_of(plain))
    if xls_start is not None:
        other = true_name_of_xls(xls_start)
    if other is None and suffix_of(plain) in BINARY_FORMATS:
        other = "is compressed twice; decompress it"
    return f"{other}; known are {known}" if other else f"has no known suffix; let its name end in {known}"


def read_lines(urls: Iterable[str], options: ReadOptions = DEFAULTS) -> Iterator[Row]:
    """Yield a row for each URL of a list or text, by the rules of a `.txt` manifest.

    Args:
        urls: one URL per item, numbered from 1; or a text, which is split into lines first.
    """
    if isinstance(urls, str):
        urls = (line.removesuffix("\n") for line in io.StringIO(urls, newline=None))
    lines = (Line(number, url, _is_short(url)) for number, url in enumerate(urls, 1))
    return text_rows(lines, "url_lines", options)


def _is_short(text: str) -> bool:
    return len(text) <= MAX_LINE // 4 or len(text.encode(errors="replace")) <= MAX_LINE
