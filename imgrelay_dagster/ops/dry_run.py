"""A dry run in Dagster: the plan is shown on the run page, and the run ends without any task."""

from collections.abc import Callable, Iterable
from functools import partial

import dagster as dg

from imgrelay_dagster.ops.manifest_rows import RowSource
from imgrelay_dagster.ops.step import Step
from imgrelay_dagster.relay.manifest.rows import Row
from imgrelay_dagster.relay.planning.destination_check import check_destination
from imgrelay_dagster.relay.planning.planner import plan_run
from imgrelay_dagster.relay.planning.preview import Preview, remove_traces
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.addresses import is_remote
from imgrelay_dagster.relay.storage.retry_policy import PROBE
from imgrelay_dagster.relay.storage.scratch_files import scratch_folder
from imgrelay_dagster.resources import StoresResource, TemplatesResource

Rows = Callable[[Callable[[str], None]], Iterable[Row]]


def preview_run(
    settings: Settings,
    run_id: str,
    rows: Rows,
    stores: StoresResource,
    templates: TemplatesResource,
    day: str | None = None,
) -> Preview:
    """Plan every manifest line, ask no origin and write nothing.

    Args:
        run_id: the id under which the destination is checked.
        rows: opens the manifest; it gets a function that takes notes about it.
        day: the run's day (hour, week), for patterns of keys; today in UTC if None.

    Raises:
        RelayError: the manifest, the template or the destination cannot be used.
    """
    preview = Preview(settings.dataset, settings.destination, settings.template)
    tell = preview.notes.append
    open_probe = partial(stores.open, settings.destination, PROBE)
    features = check_destination(lambda options: open_probe(options=options), settings, run_id)
    store = stores.open(settings.destination, options=features.options)
    with scratch_folder() as scratch:
        plan_run(
            rows(tell),
            settings,
            run_id=run_id,
            store=store,
            templates=templates.open(),
            scratch=scratch,
            list_any=partial(stores.list_any, settings.destination) if is_remote(settings.destination) else None,
            day=day,
            tell=tell,
            note=tell,
            observe=preview.add,
            publish=False,
        )
    remove_traces(store, settings.dataset, run_id)
    preview.notes += features.notices
    return preview


def preview_of(step: Step, source: RowSource, templates: TemplatesResource) -> Preview:
    """Plan the run without doing anything, and show the plan in the run's log.

    Raises:
        RelayError: the manifest, the template or the destination cannot be used.
    """
    run_id = step.context.run_id
    preview = preview_run(step.settings, run_id, source.rows, step.stores, templates, step.day)
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
