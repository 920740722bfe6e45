"""Stage `compose`: lay the template over every image of a task."""

import hashlib
from contextlib import nullcontext
from dataclasses import replace

from imgrelay_dagster.relay.errors import EntryFailure, RelayError, StoreFailure
from imgrelay_dagster.relay.imaging.decoder_pool import DecoderPool
from imgrelay_dagster.relay.imaging.malloc import keep_freed_memory
from imgrelay_dagster.relay.imaging.memory_budget import MemoryBudget
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.outcomes import Reason, Record, Stage, changed
from imgrelay_dagster.relay.stages.composer import Composer
from imgrelay_dagster.relay.stages.context import StageContext
from imgrelay_dagster.relay.stages.runner import run_entries
from imgrelay_dagster.relay.stages.source_check import source_digest
from imgrelay_dagster.relay.staging.packs import PackReader, PackWriter
from imgrelay_dagster.relay.staging.tasks import Task

MEMORY_BUDGET = 320 << 20
"""Bytes that the images which are open in one step take together, as far as their headers tell. An image that takes
more is open alone."""


def compose_task(task: Task, context: StageContext, templates: TemplateFolder) -> Task:
    """Lay the template over every downloaded image; return the task with the entries that are left."""
    keep_freed_memory()
    settings, restart = context.settings, context.restart
    reader = PackReader(context.staging, task)
    fingerprint = settings.fingerprint_function()
    rejected = frozenset(settings.reject_sources)

    def compose_entry(record: Record) -> Record:
        with restart.open(record.entry) if restart else nullcontext():
            return compose_image(record)

    def compose_image(record: Record) -> Record:
        try:
            template = templates.load(record.template or settings.template)
        except StoreFailure:
            raise
        except RelayError as error:  # it existed when the run was planned
            raise EntryFailure(Reason.TEMPLATE_MISSING, str(error)) from error
        if record.fingerprint != fingerprint(url=record.url, template_digest=template.digest, focus=record.focus):
            # Otherwise the next run would believe that the stored image has the template that was planned.
            detail = f"template {template.name!r} was changed while the run worked; launch the manifest again"
            raise EntryFailure(Reason.TEMPLATE_MISSING, detail)
        source = reader.read(record.entry)
        digest = source_digest(source, record.expected, rejected)
        if record.earlier is not None and record.earlier.source_sha256 == digest:
            served_url, validators = record.served_url, record.validators
            return changed(record.earlier.keep(record), served_url=served_url, validators=validators)
        composed = composer.compose(source, template, record.focus)
        writer.add(record.entry, composed.data)
        assert record.key is not None
        key = settings.stored_key(record.key, composed.extension)
        return changed(
            record,
            source_sha256=digest,
            earlier=None,
            key=key,
            planned_key=None if key == record.key else record.key,
            width=composed.width,
            height=composed.height,
            frames=composed.frames,
            quality=composed.quality,
            bytes_out=len(composed.data),
            sha256=hashlib.sha256(composed.data).hexdigest(),
        )

    task = reader.task_in_pack_order()
    if restart:
        task = replace(task, records=restart.suspects_last(task.records))
    with (
        DecoderPool(context.stop) as decoders,
        PackWriter(context.staging, task.name, Stage.COMPOSE, context.tick) as writer,
    ):
        composer = Composer(settings, MemoryBudget(MEMORY_BUDGET), decoders, context.stop, isolated=restart is not None)
        threads = 1 if restart else settings.compose_threads
        remaining = run_entries(task, context, Stage.COMPOSE, compose_entry, threads)
    return replace(remaining, locations=writer.locations)
