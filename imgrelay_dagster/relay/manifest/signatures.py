"""Recognizes files by their first bytes, to call a file by its true name when its suffix is wrong."""

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "is gzip data; let its name end in .gz, or decompress it"),
    (b"\x28\xb5\x2f\xfd", "is zstd data; let its name end in .zst, or decompress it"),
    (b"BZh", "is bzip2 data; compress it with gzip or zstd instead"),
    (b"\xfd7zXZ\x00", "is xz data; compress it with gzip or zstd instead"),
    (b"PAR1", "is a Parquet file; let its name end in .parquet"),
    (b"PK\x03\x04", "is a zip archive or a spreadsheet; let its name end in .xlsx if it is an Excel workbook, "
     "or export it as CSV"),
    (b"\xd0\xcf\x11\xe0", "is an old Excel workbook or one with a password; save it as .xlsx without a password"),
    (b"%PDF-", "is a PDF; export the list as .csv or .xlsx"),
    (b"{\\rtf", "is rich text; save it as plain text"),
    (b"SQLite format 3\x00", "is an SQLite database; export the list as .csv"),
    (b"ARROW1", "is an Arrow file; export it as .parquet"),
    (b"ORC", "is an ORC file; export it as .parquet"),
    (b"Obj\x01", "is an Avro file; export it as .parquet"),
    (b"\xff\xd8\xff", "is a JPEG image, not a list of images"),
    (b"\x89PNG\r\n", "is a PNG image, not a list of images"),
    (b"GIF8", "is a GIF image, not a list of images"),
    (b"\xff\xfe\x00\x00", "is UTF-32 text; save it as UTF-8"),
    (b"\x00\x00\xfe\xff", "is UTF-32 text; save it as UTF-8"),
)  # fmt: skip

_MARKUP = (
    (b"<!doctype html", "is an HTML page, perhaps of a login; download the list itself"),
    (b"<html", "is an HTML page, perhaps of a login; download the list itself"),
    (b"<?xml", "is XML; export the list as .csv or .jsonl"),
)

_XLS = (
    (b"\xd0\xcf\x11\xe0", "is an old Excel workbook; save it as .xlsx"),
    (b"PK\x03\x04", "is a zip archive, perhaps a newer Excel workbook; let its name end in .xlsx if it is one"),
    (b"<html", "is an HTML page, not a workbook; open it in a spreadsheet program and save it as .xlsx"),
    (b"<table", "is an HTML page, not a workbook; open it in a spreadsheet program and save it as .xlsx"),
    (b"<!doctype html", "is an HTML page, not a workbook; open it in a spreadsheet program and save it as .xlsx"),
    (b"<?xml", "is XML, not an old Excel workbook; open it in a spreadsheet program and save it as .xlsx"),
)

LONGEST = 64
"""Bytes that are enough to recognize any of them."""


def true_name(start: bytes) -> str | None:
    """What a file that starts with these bytes is, and what to do with it; None when they may be text."""
    for signature, problem in _SIGNATURES:
        if start.startswith(signature):
            return problem
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((problem for tag, problem in _MARKUP if text.startswith(tag)), None)


def true_name_of_xls(start: bytes) -> str:
    """What a file that is named `.xls` and starts with these bytes is: many programs give this name to other files."""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    found = next((problem for tag, problem in _XLS if text.startswith(tag) or start.startswith(tag)), None)
    return found or true_name(start) or "is not an Excel workbook; if it is text, let its name end in .csv or .tsv"
