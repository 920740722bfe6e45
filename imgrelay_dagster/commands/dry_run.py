"""`imgrelay run --dry-run`: plans a run in this process and prints what it would do."""

import uuid
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from imgrelay_dagster.commands.console import Console
from imgrelay_dagster.commands.exit_codes import SUCCESS
from imgrelay_dagster.config.run_config import RelayConfig
from imgrelay_dagster.ops.manifest_rows import rows_of_config
from imgrelay_dagster.relay.planning.destination_check import check_destination
from imgrelay_dagster.relay.planning.preview import preview_json, preview_run
from imgrelay_dagster.relay.storage.addresses import is_s3
from imgrelay_dagster.relay.storage.retry_policy import PROBE
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
    settings, run_id = config.settings(), f"dry-run-{uuid.uuid4()}"
    open_probe = partial(stores.open, settings.destination, PROBE)
    features = check_destination(lambda options: open_probe(options=options), settings, run_id)
    with TemporaryDirectory(prefix="imgrelay-") as scratch:
        preview = preview_run(
            lambda note: rows_of_config(config, stores, http, note),
            settings,
            run_id=run_id,
            store=stores.open(settings.destination, options=features.options),
            templates=templates.open(),
            scratch=Path(scratch),
            list_any=partial(stores.list_any, settings.destination) if is_s3(settings.destination) else None,
        )
    preview.notes += features.notices
    console.preview(preview.lines(), preview_json.dump_json(preview).decode())
    return SUCCESS
