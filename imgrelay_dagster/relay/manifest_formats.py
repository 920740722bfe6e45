"""The formats of manifests: the one list of suffixes that the reader, the inbox and the daily partitions share."""

from typing import NamedTuple

TEXT_FORMATS = (".txt", ".csv", ".tsv", ".jsonl", ".ndjson", ".json")
"""Suffixes of text formats. Each may be followed by one of `COMPRESSIONS`."""

BINARY_FORMATS = (".parquet", ".xlsx")
"""Suffixes of formats that have a compression of their own."""

COMPRESSIONS = (".gz", ".zst")
"""Suffixes of compressed text formats."""

MANIFEST_SUFFIXES = (
    *(f"{format}{compression}" for format in TEXT_FORMATS for compression in ("", *COMPRESSIONS)),
    *BINARY_FORMATS,
)
"""Every suffix that the name of a manifest may have."""

OTHER_FORMATS = {
    ".xls": "is an old Excel workbook; save it as .xlsx",
    ".xlsb": "is a binary Excel workbook; save it as .xlsx",
    ".xlsm": "is an Excel workbook with macros; save it as .xlsx",
    ".ods": "is an OpenDocument spreadsheet; save it as .xlsx or .csv",
    ".numbers": "is a Numbers spreadsheet; export it as .xlsx or .csv",
    ".xml": "is XML; export the list as .csv or .jsonl",
    ".html": "is an HTML page; export the list as .csv or .jsonl",
    ".zip": "is a zip archive; unpack it, or compress the list with gzip",
    ".avro": "is an Avro file; export it as .parquet",
    ".orc": "is an ORC file; export it as .parquet",
    ".feather": "is an Arrow file; export it as .parquet",
    ".arrow": "is an Arrow file; export it as .parquet",
    ".bz2": "is compressed with bzip2; compress it with gzip or zstd",
    ".xz": "is compressed with xz; compress it with gzip or zstd",
}
"""What to say about files that people have but that are not read."""


class ManifestFormat(NamedTuple):
    """The format that a name stands for: one of the suffixes above, and the suffix of the compression or ""."""

    suffix: str
    compression: str


def manifest_format(name: str) -> ManifestFormat | None:
    """The format of a file name or address, in upper or lower case; None when it does not name a manifest."""
    plain = name.lower()
    compression = next((suffix for suffix in COMPRESSIONS if plain.endswith(suffix)), "")
    suffix = suffix_of(plain.removesuffix(compression))
    if suffix in TEXT_FORMATS or (suffix in BINARY_FORMATS and not compression):
        return ManifestFormat(suffix, compression)
    return None


def suffix_of(name: str) -> str:
    """The part of a name from its last dot on; "" when there is none."""
    return name[name.rfind(".") :] if "." in name.rpartition("/")[2] else ""


def is_manifest_name(name: str) -> bool:
    """Whether the name ends in a manifest's suffix."""
    return manifest_format(name) is not None


def needs_seek(name: str) -> bool:
    """Whether a manifest with this name is not read from its start to its end, but at any position."""
    found = manifest_format(name)
    return found is not None and found.suffix in BINARY_FORMATS


def without_suffixes(name: str) -> str:
    """A file name without the suffixes of format and compression, if it has them."""
    for suffixes in (COMPRESSIONS, (*TEXT_FORMATS, *BINARY_FORMATS)):
        found = next((suffix for suffix in suffixes if name.lower().endswith(suffix)), "")
        name = name[: len(name) - len(found)]
    return name
