"""Every environment variable of imgrelay: name, type, default, bounds and help, in one table.

No other module reads an `IMGRELAY_*` variable. A variable that is set to an empty value counts as not set. The table in
docs/configuration.md is made from this one:

    python -m imgrelay_dagster.config.environment docs/configuration.md
"""

import json
import logging
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Generic, TypeVar

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.redact import redact

T_co = TypeVar("T_co", covariant=True)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kind(Generic[T_co]):
    """A type of values, with its bounds.

    Attributes:
        description: what a value has to be, as in "is not a whole number from 1 to 512".
        parse: makes a value of a text; raises ValueError where it is none of this kind.
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


def _paths(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


TEXT: Kind[str | None] = Kind("text", lambda text: text)
PLACE = Kind[str]("a folder or a store address", lambda text: text)
OPTIONAL_PLACE: Kind[str | None] = Kind("a folder or a store address", lambda text: text)
FILE: Kind[str | None] = Kind("a path", lambda text: text)
URL: Kind[str | None] = Kind("a URL", lambda text: text)
DATE = Kind("a date such as 2026-01-01", date.fromisoformat)
TIME_OF_DAY = Kind("a time of day such as 06:00", lambda text: datetime.strptime(text, "%H:%M").time())
QUANTITY = Kind("a Kubernetes quantity such as 500m or 1Gi", _quantity)
NAMES = Kind("names separated by commas or spaces", lambda text: tuple(text.replace(",", " ").split()))
PATHS = Kind("a JSON list of paths", _paths)
SWITCH = Kind("anything", bool)


@dataclass(frozen=True)
class Variable(Generic[T_co]):
    """One environment variable.

    Attributes:
        name: its name.
        kind: type and bounds of its values.
        default: the value where the variable is not set.
        help: what it is for; Markdown.
        default_text: the default in words, where it is not simply the value.
        is_internal: whether imgrelay sets it itself, for its own processes.
    """

    name: str
    kind: Kind[T_co]
    default: T_co
    help: str
    default_text: str | None = None
    is_internal: bool = False

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
        """One sentence on what is wrong with the value; None where it is right."""
        given = os.environ.get(self.name)
        try:
            if given:
                self.kind.parse(given)
        except (ValueError, TypeError):
            return f"{self.name} {redact(given or '')!r} is not {self.kind.description}"
        return None

    def set(self, text: str | None) -> None:
        """Set the variable for this process and the processes that it starts; None removes it."""
        if text is None:
            os.environ.pop(self.name, None)
        else:
            os.environ[self.name] = text


MOST_CONCURRENT = 512

DESTINATION = Variable(
    "IMGRELAY_DESTINATION",
    PLACE,
    "out",
    "Destination of runs whose run config names none. Local destinations must lie inside it.",
)
DESTINATION_URL = Variable(
    "IMGRELAY_DESTINATION_URL",
    URL,
    None,
    "Web address under which the destination is served, if it is. Run and asset pages then link to `report.html`.",
)
TEMPLATES = Variable("IMGRELAY_TEMPLATES", FILE, None, "The template folder.", "the folder shipped with the package")
STAGING = Variable(
    "IMGRELAY_STAGING", OPTIONAL_PLACE, None, "Scratch space between stages.", "the folder `staging` in `DAGSTER_HOME`"
)
MANIFESTS = Variable(
    "IMGRELAY_MANIFESTS",
    PLACE,
    "manifests",
    "Folder from which local manifests are read, and folder or `s3://` prefix of the daily manifests.",
)
MANIFEST_PATTERN = Variable(
    "IMGRELAY_MANIFEST_PATTERN",
    Kind[str]("a name with {day} in it", lambda text: text),
    "{day}",
    "Name of a day's manifest in that folder, with `{day}` in it (docs/operating.md).",
    "`{day}`, with any suffix of a manifest",
)
FIRST_DAY = Variable("IMGRELAY_FIRST_DAY", DATE, date(2026, 1, 1), "First partition of the daily assets.")
DROP_AT = Variable("IMGRELAY_DROP_AT", TIME_OF_DAY, time(6), "When schedule `daily_drop` runs, in UTC.", "06:00")
DROP_DAY = Variable(
    "IMGRELAY_DROP_DAY", one_of("yesterday", "today"), "yesterday", "The day whose manifest that schedule relays."
)
LATE_DAYS = Variable(
    "IMGRELAY_LATE_DAYS", whole_number(1, 366), 31, "How many days back sensor `late_manifests` searches."
)
LATE_INTERVAL = Variable(
    "IMGRELAY_LATE_INTERVAL", whole_number(1), 60, "Seconds between two evaluations of sensor `late_manifests`."
)
INBOX = Variable(
    "IMGRELAY_INBOX",
    OPTIONAL_PLACE,
    None,
    "Folder or `s3://` prefix that sensor `inbox` watches. Local manifests may be read from it too.",
)
INBOX_INTERVAL = Variable(
    "IMGRELAY_INBOX_INTERVAL", whole_number(1), 30, "Seconds between two evaluations of sensor `inbox`."
)
WATCH_INTERVAL = Variable(
    "IMGRELAY_WATCH_INTERVAL",
    whole_number(1),
    30,
    "Seconds between two evaluations of the sensors that monitor runs: `housekeeping`, `shards`, `failed_runs`, "
    "`canceled_runs`.",
)
FAILURES_LOG = Variable(
    "IMGRELAY_FAILURES_LOG", FILE, None, "File that gets a line for each run that fails or is cancelled."
)
WEBHOOK_URL = Variable(
    "IMGRELAY_WEBHOOK_URL", URL, None, "Address to which such a line is posted as JSON. Never shown anywhere."
)
PRELOAD_POSTGRES = Variable(
    "IMGRELAY_PRELOAD_POSTGRES",
    SWITCH,
    False,
    "Set it to any value if Dagster's storage is Postgres: steps start faster.",
    "not set",
)
ALLOWED_HOSTS = Variable(
    "IMGRELAY_ALLOWED_HOSTS", NAMES, (), "Hosts, addresses or networks exempt from the address guard.", "none"
)
MAX_CONCURRENT = Variable[int | None](
    "IMGRELAY_MAX_CONCURRENT",
    whole_number(1, MOST_CONCURRENT),
    None,
    "Concurrent steps of a run that does not set `max_concurrent`.",
    "one for each core, at least two",
)
EXECUTOR = Variable(
    "IMGRELAY_EXECUTOR",
    one_of("multiprocess", "celery", "k8s"),
    "multiprocess",
    "Where steps are executed (docs/scaling.md).",
)
CELERY_BROKER = Variable(
    "IMGRELAY_CELERY_BROKER",
    URL,
    None,
    "Celery: the broker, such as `redis://host:6379/0` or `amqp://user:password@host:5672//`.",
)
CELERY_BACKEND = Variable(
    "IMGRELAY_CELERY_BACKEND",
    URL,
    None,
    "Celery: where the results of steps are stored.",
    "the broker if it is Redis, else RabbitMQ's replies",
)
CELERY_LOST_AFTER = Variable(
    "IMGRELAY_CELERY_LOST_AFTER",
    seconds(2, 86_400),
    60.0,
    "Celery with Redis: seconds after which the steps of a silent worker go to other workers.",
)
STEP_CPU = Variable("IMGRELAY_STEP_CPU", QUANTITY, "1", "Kubernetes: cores that a step's pod requests.")
STEP_MEMORY = Variable(
    "IMGRELAY_STEP_MEMORY", QUANTITY, "1Gi", "Kubernetes: memory that a step's pod requests and is limited to."
)
SAMPLE_MANIFEST = Variable(
    "IMGRELAY_SAMPLE_MANIFEST", FILE, None, "Manifest that the launchpad of job `relay` opens with, as in `make dev`."
)
ARGUMENT_PATHS = Variable(
    "IMGRELAY_ARGUMENT_PATHS", PATHS, (), "Local paths that the user of the command named.", is_internal=True
)
ARGUMENT_TEMPLATE = Variable(
    "IMGRELAY_ARGUMENT_TEMPLATE", FILE, None, "Template that the user of the command gave.", is_internal=True
)

VARIABLES: tuple[Variable[object], ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Variable)
)


def bad_values() -> list[str]:
    """One sentence for each variable whose value is not of its kind."""
    return [error for variable in VARIABLES if (error := variable.error()) is not None]


def markdown_table() -> str:
    """The table of docs/configuration.md."""
    lines = ["| variable | type and bounds | default | meaning |", "|---|---|---|---|"]
    for variable in VARIABLES:
        if not variable.is_internal:
            meaning = re.sub(r"docs/(\w+)\.md", r"[\1](\1.md)", variable.help)
            lines.append(
                f"| `{variable.name}` | {variable.kind.description} | {_shown_default(variable)} | {meaning} |"
            )
    return "\n".join(lines) + "\n"


def _shown_default(variable: Variable[object]) -> str:
    if variable.default_text is not None:
        return variable.default_text
    return "none" if variable.default is None else f"`{variable.default}`"


_BEGIN, _END = "<!-- environment:begin -->\n", "<!-- environment:end -->"


def replace_table(page: str) -> str:
    """A page with the table between its two markers made anew."""
    before, _, rest = page.partition(_BEGIN)
    return f"{before}{_BEGIN}{markdown_table()}{_END}{rest.partition(_END)[2]}"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        Path(name).write_text(replace_table(Path(name).read_text()))
