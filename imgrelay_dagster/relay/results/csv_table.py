"""Results as CSV, for spreadsheets: what a person needs to find an image and what became of it."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

from imgrelay_dagster.relay.outcomes import MEANINGS, Record
from imgrelay_dagster.relay.records.receipts import record_json
from imgrelay_dagster.relay.redact import redact, redact_key, redact_text
from imgrelay_dagster.relay.storage.scratch_files import scratch_file

FIRST_COLUMNS = ("line", "key")
LAST_COLUMNS = (
    "outcome", "reason", "http_status", "url", "detail", "what_to_do", "attempts", "width", "height", "bytes_out",
)  # fmt: skip


class CsvTable:
    """Writes records as rows of a CSV file (RFC 4180, UTF-8, with a first row of names).

    URLs carry no user info and no query. `results.jsonl` and `failed.jsonl` have them in full.

    Args:
        stream: a text stream; open a file with `newline=""`.
        carried: columns of the manifest that follow the key.
    """

    def __init__(self, stream: IO[str], carried: Sequence[str]) -> None:
        self._writer = csv.writer(stream)
        self._carried = tuple(carried)
        self._writer.writerow((*FIRST_COLUMNS, *self._carried, *LAST_COLUMNS))

    def add(self, record: Record) -> None:
        """Write one record."""
        self._writer.writerow(
            (
                record.line,
                redact_key(record.key or ""),
                *(record.carried.get(name, "") for name in self._carried),
                record.outcome.value if record.outcome else "",
                record.reason.value if record.reason else "",
                record.http_status or "",
                redact(record.url),
                redact_text(record.detail or ""),
                MEANINGS[record.reason] if record.reason else "",
                record.attempts,
                record.width or "",
                record.height or "",
                record.bytes_out or "",
            )
        )


def carried_names(records: Iterable[Record]) -> list[str]:
    """The names of all carried columns, in the order in which they first appear."""
    return list(dict.fromkeys(name for record in records for name in record.carried))


def write_failed_table(path: Path, lines: Iterable[bytes]) -> None:
    """Write `failed.csv` to `path`, from the lines of `results.jsonl`. Its columns are those of the failed lines."""
    with scratch_file() as failed, path.open("w", newline="", encoding="utf-8", errors="replace") as file:
        names: dict[str, None] = {}
        for line in lines:
            if _FAILED in line:  # faster than parsing a hundred thousand lines
                failed.write(line.rstrip(b"\n") + b"\n")
                names |= dict.fromkeys(record_json.validate_json(line).carried)
        failed.seek(0)
        table = CsvTable(file, list(names))
        for line in failed:
            table.add(record_json.validate_json(line))


_FAILED = b'"outcome":"failed"'
"""How a failed line of `results.jsonl` spells its outcome. In a JSON string the quotes would be escaped."""
