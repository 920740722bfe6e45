"""What a run's report says about its launch: manifest, profile, who launched it, and what looks like a mistake."""

from dataclasses import replace

import dagster as dg

from imgrelay_dagster.automation.partitions import time_zone
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.planning.setting_warnings import output_warnings, template_warnings
from imgrelay_dagster.relay.settings import RunOrigin, Settings
from imgrelay_dagster.resources import TemplatesResource
from imgrelay_dagster.runs.tags import INVOCATION_TAG

_LAUNCHERS = {
    "dagster/backfill": "backfill {}",
    "dagster/sensor_name": "sensor {}",
    "dagster/schedule_name": "schedule {}",
    "dagster/parent_run_id": "re-execution of run {}",
    INVOCATION_TAG: "the command line",
}


def run_origin(
    context: dg.OpExecutionContext,
    settings: Settings,
    templates: TemplatesResource,
    *,
    manifest: str | None,
    profile: str | None,
) -> RunOrigin:
    """Describe the launch of this run. Logs a warning for each setting that looks like a mistake."""
    origin = RunOrigin(manifest, launched_by(context.run), profile, time_zone=time_zone().key)
    try:
        template = templates.open().load(settings.template)
    except RelayError:  # planning says so
        return origin
    warnings = (*template_warnings(template, settings.layout), *output_warnings(settings.output))
    for warning in warnings:
        context.log.warning(warning)
    return replace(origin, template_size=template.size, warnings=warnings)


def launched_by(run: dg.DagsterRun) -> str:
    """Who or what launched a run, in words."""
    for tag, words in _LAUNCHERS.items():
        if tag in run.tags:
            return words.format(run.tags[tag])
    return "the Dagster UI or its API"
