"""Cells that hold URLs: takes several apart, and mends what other programs did to a URL."""

import re

from imgrelay_dagster.relay.manifest.json_cells import json_in, url_field
from imgrelay_dagster.relay.manifest.rows import BLANKS, InvalidValue, clean_value

MAX_URLS = 1000
"""URLs in one cell."""

NEWLINE = "\n"

_AFTER_SCHEME = len("https://")

_PLAIN_URL = re.compile(r"https?://[!#-&(-+\-.-:=?-{}~]+")  # nothing that separates URLs or needs mending
_START = r"[<\"']?(?:[a-z][a-z0-9+.-]{0,19}:)?//"
_NEXT_URL = re.compile(rf"[\s,;|]\s*{_START}", re.IGNORECASE)
_BEGINS_LIKE_URL = re.compile(rf"\s*{_START}", re.IGNORECASE)
_LIST_AS_TEXT = re.compile(rf"\[\s*{_START}[^\[]*\]", re.IGNORECASE)
_GLUED_URL = re.compile(r"\.(?:jpe?g|png|gif|webp|avif|bmp|tiff?|heic)[^\w/=]{0,3}https?://", re.IGNORECASE)
_HTTP_PATH = re.compile(r"[<\"']?(?:https?:)?//[^?#]*", re.IGNORECASE)
_LEFT_OVER = f"{BLANKS},;|"
_WRAPPERS = {"<": ">", '"': '"', "'": "'"}


def urls_in(value: object, split: str | None) -> list[tuple[str, str | None]]:
    """The URLs in a cell, each with the text that stood there if it was mended, otherwise None.

    A list holds a URL in each item: of JSON or Parquet, or as text, as pandas and DuckDB write it into CSV files. An
    object, also one of JSON in a text, holds it under one of the well-known names.

    Args:
        split: what separates several URLs; None means that the cell holds one.

    Raises:
        InvalidValue: the cell is empty, of another type, or holds several URLs although `split` is None.
    """
    if isinstance(value, str) and _is_plain(value, split):
        return [(value, None)]
    try:
        texts = _texts(value, split)
    except RecursionError:
        raise InvalidValue("the lists in the cell are nested too deep") from None
    if not texts:
        raise InvalidValue("url is missing or empty")
    if len(texts) > 1 and split is None:
        raise InvalidValue(f"the cell holds {len(texts)} URLs; set columns.split to make an entry of each")
    if len(texts) > MAX_URLS:
        raise InvalidValue(f"the cell holds {len(texts):,} URLs; at most {MAX_URLS:,} are allowed")
    mended = [(_mend(text), text) for text in texts]
    return [(url, None if url == text else text) for url, text in mended]


def _is_plain(text: str, split: str | None) -> bool:
    """Whether a text is certainly one URL that needs no mending; most are, and this is fast."""
    return (
        (split is None or split not in text)
        and bool(_PLAIN_URL.fullmatch(text))
        and "&amp;" not in text
        and text.rfind("://") < _AFTER_SCHEME
    )


def _texts(value: object, split: str | None) -> list[str]:
    if isinstance(value, list | tuple):
        return [text for item in value for text in _texts(item, split)]
    if isinstance(value, dict):
        return _texts(url_field(value), split)
    if isinstance(value, str) and _LIST_AS_TEXT.fullmatch(value.strip()):
        return [text for item in _pieces(value.strip()[1:-1], ",") for text in _texts(item, None)]
    if isinstance(value, str) and (found := json_in(value.strip(BLANKS))) is not None:
        return _texts(found, split)
    if split is not None and isinstance(value, str):
        pieces = [piece.strip() for piece in _pieces(value, split)]
        if any(map(_holds_several, pieces)):
            raise InvalidValue(f"the cell holds several URLs that {split!r} (columns.split) does not separate")
        return [cleaned for piece in pieces if (cleaned := clean_value("url", piece)).strip(_LEFT_OVER)]
    if isinstance(value, str) and _holds_several(value.strip()):
        raise InvalidValue("the cell holds several URLs; set columns.split to what separates them")
    text = clean_value("url", value)
    return [text] if text else []


def _holds_several(text: str) -> bool:
    """Whether a text holds another URL: after a separator, or glued to the name of an image in the path of the first.

    A URL may itself hold one, after a slash or `=` in its path, or anywhere in its query: that is one URL.
    """
    return bool(_NEXT_URL.search(text) or ((path := _HTTP_PATH.match(text)) and _GLUED_URL.search(path[0])))


def _pieces(value: str, split: str) -> list[str]:
    """The pieces between the separators. A separator inside a URL is kept: no blank and no new URL follows it."""
    pieces: list[str] = []
    for piece in value.split(split):
        inside = pieces and not split.isspace() and piece[:1].strip() and not _BEGINS_LIKE_URL.match(piece)
        if inside:
            pieces[-1] += split + piece
        else:
            pieces.append(piece)
    return pieces


def _mend(text: str) -> str:
    """Undo what other programs do to a URL.

    That is `<...>`, quotes, separators left at the end, `&amp;` for every `&`, and a missing scheme before `//`.
    """
    url = _without_left_over(text)
    while len(url) > 2 and _WRAPPERS.get(url[0]) == url[-1]:
        url = _without_left_over(url[1:-1].strip(BLANKS))
    if "&amp;" in url and url.count("&") == url.count("&amp;"):
        url = url.replace("&amp;", "&")
    return f"https:{url}" if url.startswith("//") else url


def _without_left_over(url: str) -> str:
    """Remove the separators at the end of a URL. Those of a query stay: servers accept them, and they may be signed."""
    return url.rstrip(_LEFT_OVER) if _HTTP_PATH.fullmatch(url) else url
