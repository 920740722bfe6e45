"""Cells that hold JSON as text, and objects of JSON that hold a URL in one of their fields.

Exports of shops and schema.org data write images in this way: `[{"src": "https://..."}]`, `{"contentUrl": "..."}`.
"""

import json
import re
from typing import Any

from imgrelay_dagster.relay.manifest.columns import URL_NAMES, normal_name
from imgrelay_dagster.relay.manifest.rows import InvalidValue

_FIELDS = tuple(frozenset(map(normal_name, names)) for names in (("contentUrl",), URL_NAMES, ("href",)))
"""Names of the fields that hold the image, best first: beside `contentUrl` and `src`, the others name a page."""

_OBJECT_START = re.compile(r"(?:\[\s*)?\{\s*[\"']")
_TEXTS_START = re.compile(r"\[\s*\"")


def json_in(text: str) -> Any:
    """The object or list that a text holds as JSON; None when it is another text, which may be a URL.

    A list counts if it holds objects or texts and nothing else.

    Raises:
        InvalidValue: the text begins like an object, or like a list of objects, but is not valid JSON.
    """
    is_object = bool(_OBJECT_START.match(text))
    if not is_object and not _TEXTS_START.match(text):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        if is_object:
            raise InvalidValue("the cell begins like JSON, but is not valid JSON; texts need double quotes") from None
        return None
    is_known = isinstance(value, dict) or all(isinstance(item, dict | str) for item in value)
    return value if is_known else None


def url_field(value: dict[Any, Any]) -> object:
    """The value of the field of an object that holds the image's URL. Fields without a value do not count.

    Raises:
        InvalidValue: the object has no such field, or several with different values.
    """
    named = [(normal_name(str(name)), item) for name, item in value.items()]
    present = False
    for names in _FIELDS:
        found = [item for name, item in named if name in names]
        present = present or bool(found)
        filled = [item for item in found if item]
        if filled and all(item == filled[0] for item in filled):
            return filled[0]
        if filled:
            raise InvalidValue("url must be text, not an object with several well-known fields of different values")
    if present:
        return None
    raise InvalidValue("url must be text, not an object without one well-known field such as src")
