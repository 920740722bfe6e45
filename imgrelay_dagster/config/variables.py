"""The type of an environment variable: its name, kind of values, default and help."""

import json
import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.redact import redact

T_co = TypeVar("T_co", covariant=True)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kind(Generic[T_co]):
    """A type of values, with its bounds.

    Attributes:
        description: what a value has to be, as in "is not a whole number from 1 to 512".
        parse: converts a text to a value; raises ValueError if the text is not of this kind.
    """

    description: str
    parse: Callable[[str], T_co]


def whole_number(lowest: int, highest: int | None = None) -> Kind[int]:
    """Whole numbers within bounds, both included."""
    bounds = f"from {lowest} to {highest}" if highest is not None else f"of at least {lowest}"

    def parse(text: str) -> int:
        number = int(text) if text.isdecimal() else lowest - 1
        if number < lowest or (highest is not None and number > highest):
            raise ValueError
        return number

    return Kind(f"a whole number {bounds}", parse)


def seconds(lowest: float, highest: float) -> Kind[float]:
    """Numbers of seconds within bounds, both included."""

    def parse(text: str) -> float:
        number = float(text)
        if not lowest <= number <= highest:
            raise ValueError
        return number

    return Kind(f"a number of seconds from {lowest:g} to {highest:g}", parse)


def size(lowest: int = 0) -> Kind[int]:
    """Numbers of bytes, with or without a binary unit."""

    def parse(text: str) -> int:
        found = re.fullmatch(r"([0-9]+) ?(|[KMGT]iB)", text)
        if found is None:
            raise ValueError
        number = int(found[1]) << 10 * ("", "KiB", "MiB", "GiB", "TiB").index(found[2])
        if number < lowest:
            raise ValueError
        return number

    return Kind("a number of bytes such as 500MiB or 2GiB", parse)


def one_of(*values: str) -> Kind[str]:
    """A closed list of words."""

    def parse(text: str) -> str:
        if text not in values:
            raise ValueError
        return text

    return Kind(f"one of {', '.join(values)}", parse)


def _quantity(text: str) -> str:
    # The grammar of Kubernetes' resource.Quantity.
    if not re.fullmatch(r"[0-9]+(\.[0-9]*)?([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?", text):
        raise ValueError
    return text


def _owners(text: str) -> tuple[str, ...]:
    names = tuple(text.replace(",", " ").split())
    if not all(re.fullmatch(r"team:[A-Za-z0-9_-]+|[^@:]+@[^@:]+\.[A-Za-z]{2,}", name) for name in names):
        raise ValueError
    return names


def _paths(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


PLACE = Kind[str]("a folder or a store address", lambda text: text)
OPTIONAL_PLACE: Kind[str | None] = Kind("a folder or a store address", lambda text: text)
FILE: Kind[str | None] = Kind("a path", lambda text: text)
URL: Kind[str | None] = Kind("a URL", lambda text: text)
DATE = Kind("a date such as 2026-01-01", date.fromisoformat)
TIME_OF_DAY = Kind("a time of day such as 06:00", lambda text: datetime.strptime(text, "%H:%M").time())
QUANTITY = Kind("a Kubernetes quantity such as 500m or 1Gi", _quantity)
NAMES = Kind("names separated by commas or spaces", lambda text: tuple(text.replace(",", " ").split()))
OWNER_NAMES = Kind("a list of e-mail addresses and team:NAME, separated by commas or spaces", _owners)
PATHS = Kind("a JSON list of paths", _paths)
TIME_ZONE = Kind("a time zone of the IANA database such as Europe/Berlin", lambda text: str(ZoneInfo(text)))
SWITCH = Kind("anything", bool)


defined: list["Variable[object]"] = []
"""Every variable, in the order of definition."""


@dataclass(frozen=True)
class Variable(Generic[T_co]):
    """One environment variable.

    Attributes:
        name: its name.
        kind: type and bounds of its values.
        default: the value where the variable is not set.
        help: what it is for; Markdown.
        default_text: a description of the default, if it is not simply the value.
        is_internal: whether imgrelay sets it itself, for its own processes.
    """

    name: str
    kind: Kind[T_co]
    default: T_co
    help: str
    default_text: str | None = None
    is_internal: bool = False

    def __post_init__(self) -> None:
        defined.append(self)

    def get(self) -> T_co:
        """The value, or the default where the variable is not set.

        Raises:
            RelayError: the value is not of the variable's kind. The message also names every other variable with a
                bad value.
        """
        if self.error() is not None:
            raise RelayError("; ".join(bad_values()))
        given = os.environ.get(self.name)
        return self.kind.parse(given) if given else self.default

    def get_or_default(self) -> T_co:
        """The value, or the default with a warning in the log where the value is not of the variable's kind."""
        error = self.error()
        if error is None:
            return self.get()
        logger.warning("%s; using the default, %s", error, self.default)
        return self.default

    def error(self) -> str | None:
        """One sentence on what is wrong with the value; None if it is valid."""
        given = os.environ.get(self.name)
        try:
            if given:
                self.kind.parse(given)
        except (ValueError, TypeError, LookupError, OSError):
            return f"{self.name} {redact(given or '')!r} is not {self.kind.description}"
        return None

    def set(self, text: str | None) -> None:
        """Set the variable for this process and the processes that it starts; None removes it."""
        if text is None:
            os.environ.pop(self.name, None)
        else:
            os.environ[self.name] = text


def bad_values() -> list[str]:
    """One sentence for each variable whose value is not of its kind."""
    return [error for variable in defined if (error := variable.error()) is not None]
