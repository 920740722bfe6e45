"""Resolves a run's config once.

Changes, in a step process of ours and in the command `imgrelay`, and in no other process:
`ResolvedRunConfig.build` remembers its last results. The run's process passes its result on to each step.

Why: Dagster validates the whole run config and fills in its defaults several times before a run starts, and twice in
each step: a tenth of what a short step costs.

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
"""Results that are remembered."""

Key = tuple[str, tuple[str, ...], str]
"""A job's name, the names of its nodes (a subset of a job keeps its name), and the run config as JSON."""

_results: OrderedDict[Key, ResolvedRunConfig] = OrderedDict()


def _key(job_def: JobDefinition, run_config: Mapping[str, object] | None) -> Key:
    # A run that is read from the storage has its keys in another order.
    return job_def.name, tuple(sorted(job_def.graph.node_dict)), json.dumps(run_config, sort_keys=True)


def resolved_config(job_def: JobDefinition, run_config: Mapping[str, object] | None = None) -> ResolvedRunConfig:
    """What `ResolvedRunConfig.build` returns, or returned before for the same job and run config."""
    try:
        key = _key(job_def, run_config)
    except (TypeError, ValueError):
        return _build(job_def, run_config)
    if key not in _results:
        remember(key, _build(job_def, run_config))
    return _results[key]


def remember(key: Key, resolved: ResolvedRunConfig) -> None:
    """Keep a result, and forget the oldest beyond `MOST_RESULTS`."""
    _results[key] = resolved
    while len(_results) > MOST_RESULTS:
        _results.popitem(last=False)


def remembered(job_def: JobDefinition, run_config: Mapping[str, object]) -> tuple[Key, ResolvedRunConfig] | None:
    """A result with its key, for `remember` in another process; None where Dagster's code is not the known one."""
    if not is_known(RESOLVED_CONFIG):
        return None
    return _key(job_def, run_config), resolved_config(job_def, run_config)


def _apply() -> None:
    ResolvedRunConfig.build = staticmethod(resolved_config)  # type: ignore[method-assign]


RESOLVED_CONFIG = Patch(
    name="resolved config",
    libraries="dagster 1.13.5 to 1.13.29",
    sources={"dagster._core.system_config.objects:ResolvedRunConfig.build": frozenset({"2d9fd9c6ce308f5a"})},
    apply=_apply,
)


def prepare_resolved_config() -> None:
    """Do beforehand, in the process that steps are forked from, what `patch_resolved_config` needs in each of them."""
    is_known(RESOLVED_CONFIG)


def patch_resolved_config() -> bool:
    """Change `ResolvedRunConfig` in this process; returns whether it is changed."""
    return install(RESOLVED_CONFIG)
