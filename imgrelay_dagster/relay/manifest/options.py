"""How a manifest is to be read, and what the reader found in it."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of a table's columns. None stands for the well-known names (`columns.py`).

    Attributes:
        split: what separates several URLs in one cell; None means that a cell holds one URL.
        encoding: the encoding of a text format, as Python names it; None means UTF-8, or UTF-16 with a byte-order mark.
        skip_empty: leave out rows whose cell of URLs is empty, such as the variants of a product.
    """

    url: str | None = None
    key: str | None = None
    template: str | None = None
    sha256: str | None = None
    md5: str | None = None
    size: str | None = None
    fallback_url: str | None = None
    focus: str | None = None
    split: str | None = None
    encoding: str | None = None
    skip_empty: bool = False


ALL = "all"
"""In `carry`: every column."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a manifest is to be read.

    Attributes:
        columns: which columns hold what.
        carry: names of the columns whose values are carried into the results; `ALL` stands for every column.
        report: called with one sentence about the manifest once its columns are known.
    """

    columns: Columns = field(default_factory=Columns)
    carry: tuple[str, ...] = ()
    report: Callable[[str], None] = lambda _: None
