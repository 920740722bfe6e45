"""Stage `compose`: the template laid over every picture of a task."""

import hashlib
from dataclasses import replace

from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.imaging.compose import compose
from imgrelay_dagster.relay.imaging.malloc import keep_freed_pixels
from imgrelay_dagster.relay.imaging.pixel_budget import PixelBudget
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.outcomes import Reason, Record, Stage
from imgrelay_dagster.relay.stages.context import StageContext
from imgrelay_dagster.relay.stages.runner import run_entries
from imgrelay_dagster.relay.staging.packs import PackReader, PackWriter
from imgrelay_dagster.relay.staging.tasks import Task

PIXELS_AT_ONCE = 50_000_000
"""Pixels that the compose threads of one step decode at once, about 4 bytes each; a larger image goes alone."""


def compose_task(task: Task, bench: StageContext, templates: TemplateFolder) -> Task:
    """Lay the template over every downloaded picture."""
    keep_freed_pixels()
    settings = bench.settings
    budget = PixelBudget(PIXELS_AT_ONCE)
    unpacking = PackReader(bench.staging, task)
    fingerprint = settings.fingerprints()

    def lay(record: Record) -> Record:
        try:
            template = templates.load(record.template or settings.template)
        except RelayError as error:  # it was there when the run was planned
            raise EntryFailure(Reason.TEMPLATE_MISSING, str(error)) from error
        if record.fingerprint != fingerprint(url=record.url, template_digest=template.digest):
            # Else the next run would take what is stored for an image with the template that was planned.
            detail = f"template {template.name!r} was changed while the run worked; launch the manifest again"
            raise EntryFailure(Reason.TEMPLATE_MISSING, detail)
        composed = compose(
            unpacking.read(record.line),
            template,
            settings.layout,
            settings.output,
            max_pixels=settings.max_pixels,
            budget=budget,
            stop=bench.stop,
        )
        packing.add(record.line, composed.data)
        return replace(
            record,
            width=composed.width,
            height=composed.height,
            bytes_out=len(composed.data),
            sha256=hashlib.sha256(composed.data).hexdigest(),
        )

    with PackWriter(bench.staging, task.name, Stage.COMPOSE, bench.tick) as packing:
        laid = run_entries(unpacking.in_order(), bench, Stage.COMPOSE, lay, settings.compose_threads)
    return replace(laid, places=packing.places)
