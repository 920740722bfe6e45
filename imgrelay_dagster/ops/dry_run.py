"""A dry run in Dagster: the plan is shown on the run page, and the run ends without any task."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg

from imgrelay_dagster.ops.manifest_rows import RowSource
from imgrelay_dagster.ops.step import Step
from imgrelay_dagster.relay.planning.destination_check import check_destination
from imgrelay_dagster.relay.planning.preview import Preview, preview_run
from imgrelay_dagster.relay.storage.addresses import is_s3
from imgrelay_dagster.relay.storage.retry_policy import PROBE
from imgrelay_dagster.resources import TemplatesResource


def preview_of(step: Step, source: RowSource, templates: TemplatesResource) -> Preview:
    """Plan the run without doing anything, and show the plan in the run's log.

    Raises:
        RelayError: the manifest, the template or the destination cannot be used.
    """
    settings, run_id = step.settings, step.context.run_id
    open_probe = partial(step.stores.open, settings.destination, PROBE)
    features = check_destination(lambda options: open_probe(options=options), settings, run_id)
    with TemporaryDirectory(prefix="imgrelay-") as scratch:
        preview = preview_run(
            source.rows,
            settings,
            run_id=run_id,
            store=step.stores.open(settings.destination, options=features.options),
            templates=templates.open(),
            scratch=Path(scratch),
            day=step.day,
            list_any=partial(step.stores.list_any, settings.destination) if is_s3(settings.destination) else None,
        )
    preview.notes += features.notices
    for name, value in preview.lines():
        step.context.log.info(f"dry run: {name} {value}")
    return preview


def preview_metadata(preview: Preview) -> dict[str, dg.MetadataValue]:
    """The plan as metadata of the run."""
    numbers = ("entries", "to_relay", "to_recheck", "unchanged", "repeated", "failed")
    return {
        "dry run": dg.MetadataValue.bool(True),
        **{name: dg.MetadataValue.int(getattr(preview, name)) for name in numbers},
        "reasons": dg.MetadataValue.json(preview.reasons),
        "keys": dg.MetadataValue.json(preview.keys),
        "manifest": dg.MetadataValue.text("; ".join(preview.notes) or "no table"),
    }
