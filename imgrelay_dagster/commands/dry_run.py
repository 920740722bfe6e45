"""`imgrelay run --dry-run`: plans a run in this process and prints what it would do."""

import uuid
from datetime import UTC, datetime

from imgrelay_dagster.automation.partitions import day_of
from imgrelay_dagster.commands.console import Console
from imgrelay_dagster.commands.exit_codes import SUCCESS
from imgrelay_dagster.config.run_config import RelayConfig
from imgrelay_dagster.ops.dry_run import preview_run
from imgrelay_dagster.ops.manifest_rows import rows_of_config
from imgrelay_dagster.relay.planning.preview import preview_json
from imgrelay_dagster.resources import HttpResource, StoresResource, TemplatesResource, build_resources


def dry_run(config: RelayConfig, console: Console) -> int:
    """Print what the run would do, and return the exit code.

    Raises:
        RelayError: the manifest, the template or the destination cannot be used.
    """
    resources = build_resources()
    stores, templates, http = resources["stores"], resources["templates"], resources["http"]
    assert isinstance(http, HttpResource)
    assert isinstance(stores, StoresResource)
    assert isinstance(templates, TemplatesResource)
    preview = preview_run(
        config.settings(),
        f"dry-run-{uuid.uuid4()}",
        lambda note: rows_of_config(config, stores, http, note),
        stores,
        templates,
        day_of(datetime.now(UTC)),
    )
    console.preview(preview.lines(), preview_json.dump_json(preview).decode())
    return SUCCESS
