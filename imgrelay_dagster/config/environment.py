"""Every environment variable of imgrelay: name, type, default, bounds and help, in one table.

No module reads an `IMGRELAY_*` variable in any other way. A variable that is set to an empty value counts as not set.
The table in docs/configuration.md is made from this one:

    python -m imgrelay_dagster.config.environment docs/configuration.md
"""

import json
import re
import sys
from datetime import date, time
from pathlib import Path

from imgrelay_dagster.config.variables import (
    DATE,
    FILE,
    NAMES,
    OPTIONAL_PLACE,
    OWNER_NAMES,
    PATHS,
    PLACE,
    QUANTITY,
    SWITCH,
    TIME_OF_DAY,
    TIME_ZONE,
    URL,
    Kind,
    Variable,
    defined,
    one_of,
    seconds,
    size,
    whole_number,
)

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
TEMPLATES = Variable(
    "IMGRELAY_TEMPLATES",
    OPTIONAL_PLACE,
    None,
    "The template folder, on this host or in a store.",
    "the folder shipped with the package",
)
STAGING = Variable(
    "IMGRELAY_STAGING", OPTIONAL_PLACE, None, "Scratch space between stages.", "the folder `staging` in `DAGSTER_HOME`"
)
KEEP_ORIGINALS = Variable(
    "IMGRELAY_KEEP_ORIGINALS",
    size(),
    2 * 1024**3,
    "How much of what interrupted runs downloaded is kept for the next run of their dataset, beside a local staging "
    "folder; the oldest goes first. `0` keeps nothing (docs/operating.md).",
    "`2GiB`",
)
MANIFESTS = Variable(
    "IMGRELAY_MANIFESTS",
    PLACE,
    "manifests",
    "Folder from which local manifests are read, and folder or prefix of a store of the daily manifests.",
)
MANIFEST_PATTERN = Variable(
    "IMGRELAY_MANIFEST_PATTERN",
    Kind[str]("a name with {day} in it", lambda text: text),
    "{day}",
    "Name of the manifest of a day (hour, week) in that folder, with `{day}` in it (docs/operating.md).",
    "`{day}`, with any suffix of a manifest",
)
PROFILES = Variable[str | None](
    "IMGRELAY_PROFILES",
    Kind("a path or a store address", lambda text: text),
    None,
    "File with named settings and rules which manifests take which (docs/profiles.md).",
)
TIMEZONE = Variable(
    "IMGRELAY_TIMEZONE", TIME_ZONE, "UTC", "Time zone of days: partitions, `IMGRELAY_DROP_AT`, `{day}` and reports."
)
PARTITIONS = Variable(
    "IMGRELAY_PARTITIONS",
    one_of("daily", "hourly", "weekly"),
    "daily",
    "Whether each day, each hour or each week (from Monday) has a manifest of its own.",
)
FIRST_DAY = Variable("IMGRELAY_FIRST_DAY", DATE, date(2026, 1, 1), "First day of the first partition.")
DROP_AT = Variable(
    "IMGRELAY_DROP_AT",
    TIME_OF_DAY,
    time(6),
    "When schedule `daily_drop` runs, local time; on Mondays for weeks; for hours, only the minute counts.",
    "06:00",
)
OWNERS = Variable(
    "IMGRELAY_OWNERS",
    OWNER_NAMES,
    (),
    "Owners of the daily assets, as Dagster's UI shows them: e-mail addresses and `team:NAME`.",
    "none",
)
DROP_DAY = Variable(
    "IMGRELAY_DROP_DAY",
    one_of("yesterday", "today", "previous", "current"),
    "yesterday",
    "The day (hour, week) whose manifest that schedule relays. `previous` means the same as `yesterday`, `current` the "
    "same as `today`.",
)
FRESH_WITHIN = Variable(
    "IMGRELAY_FRESH_WITHIN",
    whole_number(0, 24 * 31),
    6,
    "Hours after `IMGRELAY_DROP_AT` within which a day has to be relayed, or else its check fails (docs/operating.md).",
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
    "Folder or prefix of a store (`s3://`, `gs://`, `az://`) that sensor `inbox` watches. Local manifests may be read "
    "from it too.",
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
    "IMGRELAY_FAILURES_LOG", FILE, None, "File that gets a line for each run that fails or is canceled."
)
WEBHOOK_URL = Variable(
    "IMGRELAY_WEBHOOK_URL", URL, None, "Address to which such a line is posted as JSON. Never shown anywhere."
)
WEBHOOK_TEMPLATE = Variable(
    "IMGRELAY_WEBHOOK_TEMPLATE",
    FILE,
    None,
    "What is posted instead: `slack`, `discord`, `teams`, or the path of a template (docs/operating.md).",
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
ORIGINALS = Variable(
    "IMGRELAY_ORIGINALS",
    NAMES,
    (),
    "Addresses of stores and folders whose images a manifest may name: `s3://bucket/prefix`, `/data/pictures` "
    "(docs/lists.md). The command line reads any.",
    "none",
)
ORIGIN_SETTINGS = Variable(
    "IMGRELAY_ORIGIN_SETTINGS",
    FILE,
    None,
    "YAML file with headers, proxies, rates and TLS settings for hosts (docs/servers.md).",
)
CONTACT = Variable[str | None](
    "IMGRELAY_CONTACT",
    Kind[str | None]("an e-mail address or a web address", lambda text: text),
    None,
    "Contact that the User-Agent of requests names, as large sites ask for.",
)
MAX_CONCURRENT = Variable[int | None](
    "IMGRELAY_MAX_CONCURRENT",
    whole_number(1, MOST_CONCURRENT),
    None,
    "Concurrent steps of a run that does not set `max_concurrent`.",
    "one more than the machine has cores, at least three",
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
CELERY_GRACE = Variable(
    "IMGRELAY_CELERY_GRACE",
    seconds(0, 86_400),
    0.0,
    "Celery: seconds that a worker told to stop (SIGTERM) goes on with its steps before they go to other workers.",
    "`0`",
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
ARGUMENT_ORIGINALS = Variable(
    "IMGRELAY_ARGUMENT_ORIGINALS", SWITCH, False, "The user of the command may read any original.", is_internal=True
)
ARGUMENT_TEMPLATE = Variable(
    "IMGRELAY_ARGUMENT_TEMPLATE", FILE, None, "Template that the user of the command gave.", is_internal=True
)

DAY_ASSETS = Variable[tuple[str, str] | None](
    "IMGRELAY_DAY_ASSETS",
    Kind("a JSON list of two texts", lambda text: tuple(json.loads(text))),
    None,
    "The file of profiles that a code location has read, and its daily assets as JSON.",
    is_internal=True,
)

VARIABLES = tuple(defined)


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
    """The page, with the table between the two markers generated again."""
    before, _, rest = page.partition(_BEGIN)
    return f"{before}{_BEGIN}{markdown_table()}{_END}{rest.partition(_END)[2]}"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        Path(name).write_text(replace_table(Path(name).read_text()))
