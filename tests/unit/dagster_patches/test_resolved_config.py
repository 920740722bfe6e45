"""A run's config is resolved once for each job and config, and as Dagster does it."""

from tests.support.warm_start import output_of

CODE = """
import dagster as dg
from dagster._core.system_config.objects import ResolvedRunConfig
from imgrelay_dagster.dagster_patches import resolved_config
original = ResolvedRunConfig.build
calls = []
@dg.config_mapping(config_schema={"number": int})
def mapped(form):
    calls.append(form["number"])
    return {"ops": {"count": {"config": form["number"]}}}
@dg.op(config_schema=int)
def count(context): return context.op_config
@dg.graph
def counting(): count()
jobs = [counting.to_job(name=name, config=mapped) for name in ("first", "second")]
"""


def run(code: str) -> str:
    """What another process prints: the patch must not reach this one."""
    return output_of(CODE + code)


def test_each_config_of_a_job_is_resolved_once():
    code = """
assert resolved_config.patch_resolved_config()
for number in (1, 1, 2, 1):
    assert ResolvedRunConfig.build(jobs[0], {"number": number}) == original(jobs[0], {"number": number})
ResolvedRunConfig.build(jobs[1], {"number": 1})
print([number for number in calls])
"""
    assert run(code) == "[1, 1, 1, 2, 2, 1, 1]"  # `original` adds one each time


def test_the_order_of_a_config_makes_no_difference_and_a_subset_of_a_job_does():
    code = """
assert resolved_config.patch_resolved_config()
with_subset = jobs[0].get_subset(op_selection=["count"])
for job, form in ((jobs[0], {"a": 1, "b": 2}), (jobs[0], {"b": 2, "a": 1}), (with_subset, {"a": 1, "b": 2})):
    print(resolved_config._key(job, form) == resolved_config._key(jobs[0], {"a": 1, "b": 2}))
@dg.graph
def twice():
    count.alias("one")(); count.alias("two")()
whole = twice.to_job(name="twice")
print(resolved_config._key(whole, {}) == resolved_config._key(whole.get_subset(op_selection=["one"]), {}))
"""
    assert run(code).split() == ["True", "True", "True", "False"]


def test_a_result_is_passed_to_another_process():
    code = """
import pickle
key, resolved = pickle.loads(pickle.dumps(resolved_config.remembered(jobs[0], {"number": 5})))
assert resolved_config.patch_resolved_config()
resolved_config._results.clear()
calls.clear()
resolved_config.remember(key, resolved)
assert ResolvedRunConfig.build(jobs[0], {"number": 5}) == resolved
print(calls)
"""
    assert run(code) == "[]"


def test_the_number_of_results_is_bounded_and_a_bad_config_is_refused_each_time():
    code = """
assert resolved_config.patch_resolved_config()
for number in range(10):
    ResolvedRunConfig.build(jobs[0], {"number": number})
refused = 0
for _ in range(2):
    try:
        ResolvedRunConfig.build(jobs[0], {"number": "none"})
    except dg.DagsterInvalidConfigError:
        refused += 1
print(len(resolved_config._results), refused)
"""
    assert run(code) == "4 2"


def test_importing_the_patch_changes_nothing():
    assert run("print(ResolvedRunConfig.build is original, original.__module__)") == (
        "True dagster._core.system_config.objects"
    )
