"""Texts with placeholders, such as `{sku}/{line:05d}-{name}.{ext}`, in the syntax of Python's format strings.

Nothing but names is looked up: no attributes, no indexes, no conversions.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import Formatter

from imgrelay_dagster.relay.errors import RelayError

_NUMBER_FORMAT = re.compile(r"0?[0-9]{0,2}d?")
_CUT = re.compile(r"\.([1-9][0-9]{0,2})")
_FIELD = re.compile(r"[^\W\d][\w \-]*")


@dataclass(frozen=True, slots=True)
class _Part:
    literal: str
    name: str | None
    form: str


@dataclass(frozen=True, slots=True)
class Placeholders:
    """A text with placeholders. The form after a colon is `05d` for a number, `lower`, `upper` or `.8` for a text."""

    text: str
    _parts: tuple[_Part, ...]

    @classmethod
    def parse(cls, text: str, what: str) -> "Placeholders":
        """Parse a text. `what` names it in errors.

        Raises:
            RelayError: a brace is alone, or a placeholder is not a name with an optional form.
        """
        try:
            found = [_Part(literal, name, form or "") for literal, name, form, _ in _parsed(text)]
        except ValueError as error:
            raise RelayError(f"{what} {text!r}: {error}; write {{{{ and }}}} for braces") from None
        for part in found:
            if part.name is not None and not _FIELD.fullmatch(part.name):
                raise RelayError(f"{what} {text!r}: {{{part.name}}} is not a name; use {{name}} or {{line:05d}}")
            known = part.form in ("", "lower", "upper") or _CUT.fullmatch(part.form)
            if not known and not _NUMBER_FORMAT.fullmatch(part.form):
                raise RelayError(
                    f"{what} {text!r}: {part.form!r} is not a form; use :05d for a number, :lower, :upper or :.8"
                )
        return cls(text, tuple(found))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the placeholders, in order, each once."""
        return tuple(dict.fromkeys(part.name for part in self._parts if part.name is not None))

    def fill(self, values: Mapping[str, str | int], clean: Callable[[str, str], str] = lambda _, value: value) -> str:
        """The text with its placeholders filled in.

        Args:
            clean: called with the name and the value of each text, after its form was applied.

        Raises:
            KeyError: a name has no value.
        """
        return "".join(
            part.literal if part.name is None else part.literal + _formed(values[part.name], part, clean)
            for part in self._parts
        )


def _parsed(text: str) -> list[tuple[str, str | None, str | None, str | None]]:
    found = list(Formatter().parse(text))
    if any(conversion for *_, conversion in found):
        raise ValueError("a conversion such as !r is not allowed")
    return found


def _formed(value: str | int, part: _Part, clean: Callable[[str, str], str]) -> str:
    assert part.name is not None
    if isinstance(value, int):
        return format(value, part.form) if _NUMBER_FORMAT.fullmatch(part.form) else str(value)
    cut = _CUT.fullmatch(part.form)
    if cut:
        value = value[: int(cut[1])]
    elif part.form in ("lower", "upper"):
        value = value.lower() if part.form == "lower" else value.upper()
    elif part.form and value.isdecimal():
        value = format(int(value), part.form)
    return clean(part.name, value)
