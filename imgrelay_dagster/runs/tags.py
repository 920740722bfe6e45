"""The tags of a run: the list of runs shows them, and housekeeping, the run queue and retries read them.

Tags that only serve imgrelay itself have Dagster's prefix for hidden tags, so that its UI leaves them out.
"""

from dagster._core.storage.tags import HIDDEN_TAG_PREFIX

DATASET_TAG = "imgrelay/dataset"
DESTINATION_TAG = "imgrelay/destination"
MANIFEST_TAG = "imgrelay/manifest"
PROCESS_TAG = f"{HIDDEN_TAG_PREFIX}imgrelay_process"
"""The identity of the process that executes a run: see `runs/process_identity.py`."""

RESULTS_TAG = "imgrelay/results"
"""The progress of a run, updated every ten seconds; after its end the final counts: `<done> of <entries>`."""

SETTLED_TAG = f"{HIDDEN_TAG_PREFIX}imgrelay_settled"
"""The run's own id, once it is settled: its results are written, or it is known that none can be written.

Dagster copies the tags of a run to its re-execution; there the id is that of the earlier run, so the tag counts as not
set.
"""

RETRY_REMINDER_TAG = f"{HIDDEN_TAG_PREFIX}imgrelay_told"
"""The run's own id, once its failure was reported to Dagster a second time because no retry had started."""

NOTIFIED_TAG = f"{HIDDEN_TAG_PREFIX}imgrelay_noted"
"""The run's own id, once its notification was sent. A failure reported twice is notified once."""

VERSION_TAG = f"{HIDDEN_TAG_PREFIX}imgrelay_manifest_version"
"""The version of the manifest that the run read: it differs for other content at the same address."""

INVOCATION_TAG = f"{HIDDEN_TAG_PREFIX}imgrelay_invocation"
"""Marks the run that one invocation of the command line launched, so that the command finds it and follows it."""

KIND_TAG = "imgrelay/kind"
COORDINATOR, SHARD = "coordinator", "shard"
"""The two kinds: a run that was split into shards, and one of its shard runs."""

SHARD_TAG = "imgrelay/shard"
"""The shard that a run relays: `2 of 3`."""

COORDINATOR_TAG = "imgrelay/coordinator"
"""The id of the run that a shard run belongs to."""

STAGE_TAG = "imgrelay/stage"
"""The op tag with the stage of a step, by which executors limit the concurrent downloads of a run."""

PROFILE_TAG = "imgrelay/profile"
"""The profile whose settings a run uses, if it has one."""

ADJUST_TAG = "imgrelay/adjust"
"""What is changed about a run while it is under way: see `relay/adjustments.py`."""

AUTOMATIC_TAGS = ("dagster/sensor_name", "dagster/schedule_name", "dagster/backfill")
"""Tags of runs that a sensor, a schedule or a backfill launched."""

PARTITION_TAG = "dagster/partition"

RETRY_TAGS = {"dagster/retry_strategy": "ALL_STEPS"}
"""Retries execute all steps. Re-execution "from failure" loses tasks of an interrupted dynamic run (dagster issues
30248, 30972). Executing all steps again is cheap, because receipts record which entries are done."""
