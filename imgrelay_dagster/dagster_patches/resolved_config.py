"""Resolves a run's config once.

Changes, in a step process of ours and in the command `imgrelay`, and in no other process:
`ResolvedRunConfig.build` remembers its last results.

Why: Dagster validates the whole run config and fills in its defaults several times before a run starts, and twice in
each step: a quarter of what a short step costs. The process that steps are forked from has the result already.

Upstream issue: none known.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping

# Private names, as in dagster 1.13.5 to 1.13.29.
from dagster._core.definitions.job_definition import JobDefinition
from dagster._core.system_config.objects import ResolvedRunConfig

from imgrelay_dagster.dagster_patches.guard import Patch, install, is_known

_build = ResolvedRunConfig.build

MOST_RESULTS = 4
"""Results that are remembered: that of the run, and that of the empty run that warms up the steps' process."""

_results: OrderedDict[tuple[int, str], tuple[JobDefinition, ResolvedRunConfig]] = OrderedDict()
"""By the identity of the job and its run config as JSON: the job, which so keeps its identity, and the result."""


def _remembering_build(job_def: JobDefinition, run_config: Mapping[str, object] | None = None) -> ResolvedRunConfig:
    try:
        key = id(job_def), json.dumps(run_config)
    except (TypeError, ValueError):
        return _build(job_def, run_config)
    if key not in _results:
        _results[key] = job_def, _build(job_def, run_config)
        while len(_results) > MOST_RESULTS:
            _results.popitem(last=False)
    return _results[key][1]


def _apply() -> None:
    ResolvedRunConfig.build = staticmethod(_remembering_build)  # type: ignore[method-assign]


RESOLVED_CONFIG = Patch(
    name="resolved config",
    libraries="dagster 1.13.5 to 1.13.29",
    sources={"dagster._core.system_config.objects:ResolvedRunConfig.build": frozenset({"2d9fd9c6ce308f5a"})},
    apply=_apply,
)


def prepare_resolved_config(job: JobDefinition, run_config: Mapping[str, object]) -> None:
    """Resolve a run's config in the process that its steps are forked from."""
    if is_known(RESOLVED_CONFIG):
        _remembering_build(job, run_config)


def patch_resolved_config() -> bool:
    """Change `ResolvedRunConfig` in this process; returns whether it is changed."""
    return install(RESOLVED_CONFIG)
