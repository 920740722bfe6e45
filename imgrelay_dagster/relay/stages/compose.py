"""Stage `compose`: lay the template over every image of a task."""

import hashlib
from dataclasses import replace

from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.imaging.compose import compose
from imgrelay_dagster.relay.imaging.decoder_pool import DecoderPool
from imgrelay_dagster.relay.imaging.malloc import keep_freed_memory
from imgrelay_dagster.relay.imaging.pixel_budget import PixelBudget
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.outcomes import Reason, Record, Stage
from imgrelay_dagster.relay.stages.context import StageContext
from imgrelay_dagster.relay.stages.runner import run_entries
from imgrelay_dagster.relay.stages.source_check import source_digest
from imgrelay_dagster.relay.staging.packs import PackReader, PackWriter
from imgrelay_dagster.relay.staging.tasks import Task

MAX_CONCURRENT_PIXELS = 50_000_000
"""Pixels that the threads of one step decode at the same time, about 4 bytes each. A larger image is decoded alone."""


def compose_task(task: Task, context: StageContext, templates: TemplateFolder) -> Task:
    """Lay the template over every downloaded image; return the task with the entries that are left."""
    keep_freed_memory()
    settings = context.settings
    budget = PixelBudget(MAX_CONCURRENT_PIXELS)
    reader = PackReader(context.staging, task)
    fingerprint = settings.fingerprint_function()
    rejected = frozenset(settings.reject_sources)

    def compose_entry(record: Record) -> Record:
        try:
            template = templates.load(record.template or settings.template)
        except RelayError as error:  # it existed when the run was planned
            raise EntryFailure(Reason.TEMPLATE_MISSING, str(error)) from error
        if record.fingerprint != fingerprint(url=record.url, template_digest=template.digest):
            # Otherwise the next run would believe that the stored image has the template that was planned.
            detail = f"template {template.name!r} was changed while the run worked; launch the manifest again"
            raise EntryFailure(Reason.TEMPLATE_MISSING, detail)
        source = reader.read(record.entry)
        record = replace(record, source_sha256=source_digest(source, record.expected, rejected))
        composed = compose(
            source,
            template,
            settings.layout,
            settings.output,
            max_pixels=settings.max_pixels,
            budget=budget,
            stop=context.stop,
            decoders=decoders,
        )
        writer.add(record.entry, composed.data)
        return replace(
            record,
            width=composed.width,
            height=composed.height,
            bytes_out=len(composed.data),
            sha256=hashlib.sha256(composed.data).hexdigest(),
        )

    with (
        DecoderPool(context.stop) as decoders,
        PackWriter(context.staging, task.name, Stage.COMPOSE, context.tick) as writer,
    ):
        remaining = run_entries(
            reader.task_in_pack_order(), context, Stage.COMPOSE, compose_entry, settings.compose_threads
        )
    return replace(remaining, locations=writer.locations)
