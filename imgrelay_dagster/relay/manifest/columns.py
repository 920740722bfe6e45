"""Finds the columns of a table by their names: those that the user gave, otherwise the well-known ones."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from imgrelay_dagster.relay.manifest.options import ALL, ReadOptions
from imgrelay_dagster.relay.manifest.rows import BLANKS

URL_NAMES = (
    "url", "image_url", "image_link", "image", "image_src", "src", "images", "image_urls", "image_uri", "img_url",
    "img_src", "picture_url", "photo_url", "main_image_url", "product_image_url",
)  # fmt: skip
"""Names of columns that hold the URLs of images. Case, spaces, dots, hyphens and underscores do not matter."""

NAMED_FIELDS = ("url", "key", "template", "sha256", "md5", "size", "fallback_url", "focus")
"""The fields of a row that a column may hold."""

KEPT_FIELDS = ("sha256", "md5", "size", "focus")
"""Those of them that are carried along with every other column."""

_MORE_FALLBACKS = re.compile(r"fallbackurl[0-9]{1,2}")

_FILLERS = re.compile(r"[\s._-]+")
_NAMES_SHOWN = 20
_LOOKS_LIKE_DATA = "its first row looks like data, but must hold the names of the columns"


class UnknownColumns(ValueError):
    """A table whose columns do not say where the URLs are; the message names the columns and the way out.

    Attributes:
        missing: True when no column was found, False when there are several.
    """

    def __init__(self, message: str, *, missing: bool) -> None:
        super().__init__(message)
        self.missing = missing

    def header_message(self) -> str:
        """The message for a table with a header row, above which other rows may stand."""
        message = str(self)
        is_said = not self.missing or _LOOKS_LIKE_DATA in message
        return message if is_said else f"{message}; the names of the columns must be in the first row"


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """The positions of a table's columns.

    Attributes:
        fields: the position of each of `NAMED_FIELDS`; None where the table has no such column.
        fallbacks: the positions of the columns that hold mirrors of the URL, in order.
        carried: name and position of each column that is carried along; None where the table has no such column.
        url_name: the name of the column that holds the URLs.
    """

    fields: tuple[int | None, ...]
    fallbacks: tuple[int, ...]
    carried: tuple[tuple[str, int | None], ...]
    url_name: str


def normal_name(name: str) -> str:
    """The form in which names are compared: `Image Src`, `image_src` and `IMAGE-SRC` are the same."""
    return _FILLERS.sub("", name.strip(BLANKS).casefold())


_NORMAL_URL_NAMES = frozenset(map(normal_name, URL_NAMES))


def map_columns(names: Sequence[str], options: ReadOptions, *, strict: bool = True) -> ColumnMap:
    """Find the columns of a table whose columns have these names.

    Args:
        strict: refuse a table that lacks a column to carry; otherwise its value is empty.

    Raises:
        UnknownColumns: no column, or more than one, can be the one that holds a field.
    """
    normal = [normal_name(name) for name in names]
    given = options.columns
    fields = [
        _find(names, normal, field, getattr(given, field))
        if field != "url" or given.url is not None
        else _find_url(names, normal)
        for field in NAMED_FIELDS
    ]
    url = fields[0]
    assert url is not None
    numbered = [index for index, name in enumerate(normal) if _MORE_FALLBACKS.fullmatch(name)]
    first = fields[NAMED_FIELDS.index("fallback_url")]
    fallbacks = numbered if first is None else [first, *numbered]
    carried = _carried(names, normal, options, fields, strict=strict)
    return ColumnMap(tuple(fields), tuple(fallbacks), tuple(carried), names[url])


def _find_url(names: Sequence[str], normal: list[str]) -> int:
    found = [index for index, name in enumerate(normal) if name in _NORMAL_URL_NAMES]
    if not found:
        raise UnknownColumns(
            f"has no column 'url' or another well-known name; {describe(names)}; name the column of the image URLs "
            "with columns.url or --column url=NAME",
            missing=True,
        )
    if len(found) > 1:
        _refuse_several(names, normal, found, "url")
    return found[0]


def _find(names: Sequence[str], normal: list[str], field: str, wanted: str | None) -> int | None:
    """The position of the column with the wanted name, or of the column that is called as the field."""
    name = wanted if wanted is not None else field
    exact = [index for index, each in enumerate(names) if wanted is not None and each.strip(BLANKS) == wanted.strip()]
    found = exact or [index for index, each in enumerate(normal) if each == normal_name(name)]
    if len(found) > 1:
        _refuse_several(names, normal, found, field)
    if not found and wanted is not None:
        raise UnknownColumns(f"has no column {wanted!r}, which columns.{field} names; {describe(names)}", missing=True)
    return found[0] if found else None


def _refuse_several(names: Sequence[str], normal: list[str], found: list[int], field: str) -> None:
    shown = [names[index].strip(BLANKS) for index in found]
    if len({normal[index] for index in found}) == 1:
        raise UnknownColumns(f"has {len(found)} columns {normal[found[0]]!r}; keep one", missing=False)
    raise UnknownColumns(
        f"has {len(found)} columns that may hold image URLs: {', '.join(map(repr, shown))}; choose one with "
        f'columns.{field} or --column {field}="{shown[0]}"',
        missing=False,
    )


def _carried(
    names: Sequence[str], normal: list[str], options: ReadOptions, fields: list[int | None], *, strict: bool
) -> list[tuple[str, int | None]]:
    if ALL in options.carry:
        used = [index for name, index in zip(NAMED_FIELDS, fields, strict=True) if name not in KEPT_FIELDS]
        return [(name, index) for index, name in enumerate(_unique(names)) if index not in used]
    found: list[tuple[str, int | None]] = []
    for name in options.carry:
        index = next((index for index, each in enumerate(names) if each.strip(BLANKS) == name), None)
        if index is None and normal_name(name) in normal:
            index = normal.index(normal_name(name))
        if index is None and strict:
            raise UnknownColumns(f"has no column {name!r}, which carry names; {describe(names)}", missing=True)
        found.append((name, index))
    return found


def _unique(names: Sequence[str]) -> list[str]:
    """The names, none empty and none twice."""
    result: list[str] = []
    for number, name in enumerate(names, 1):
        plain = name.strip(BLANKS) or f"column_{number}"
        result.append(plain if plain not in result else f"{plain}_{number}")
    return result


def describe(names: Sequence[str]) -> str:
    """Describe a header for a message. Only plain names are quoted: other text may be data, which may be secret."""
    stripped = [name.strip(BLANKS) for name in names]
    plain = [repr(name) for name in stripped if re.fullmatch(r"[\w ;|,()/#%+.:-]{1,40}", name) and "//" not in name]
    if not plain:
        return _LOOKS_LIKE_DATA
    more = f" and {len(plain) - _NAMES_SHOWN} more" if len(plain) > _NAMES_SHOWN else ""
    return f"its columns are {', '.join(plain[:_NAMES_SHOWN])}{more}"
