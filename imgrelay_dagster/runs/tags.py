"""The tags of a run: what the list of runs shows of it, and what housekeeping, the run queue and retries go by.

Those that only serve imgrelay itself begin as Dagster's own of that sort do, and its UI leaves them out.
"""

from dagster._core.storage.tags import HIDDEN_TAG_PREFIX

DATASET_TAG = "imgrelay/dataset"
DESTINATION_TAG = "imgrelay/destination"
MANIFEST_TAG = "imgrelay/manifest"
PROCESS_TAG = f"{HIDDEN_TAG_PREFIX}imgrelay_process"
"""The process that carries out a run, told from every other one of its host."""

RESULTS_TAG = "imgrelay/results"
"""How far a run is, every ten seconds while it goes on; how far it got, once it is over: `<done> of <entries>`."""

SETTLED_TAG = f"{HIDDEN_TAG_PREFIX}imgrelay_settled"
"""The run's own id, once it has its results. A run that is launched again passes its tags on to the new one."""

TOLD_TAG = f"{HIDDEN_TAG_PREFIX}imgrelay_told"
"""The run's own id, once Dagster was told a second time that it is to be started again."""

NOTED_TAG = f"{HIDDEN_TAG_PREFIX}imgrelay_noted"
"""The run's own id, once people were told of its end: a failure that Dagster is told of twice is none twice."""

VERSION_TAG = f"{HIDDEN_TAG_PREFIX}imgrelay_manifest_version"
"""What tells the content of the manifest that the run read from another content at the same address."""

INVOCATION_TAG = f"{HIDDEN_TAG_PREFIX}imgrelay_invocation"
"""Marks the run of one command, so that its progress can be followed while it is being executed."""

KIND_TAG = "imgrelay/kind"
COORDINATOR, SHARD = "coordinator", "shard"
"""A run that was cut into shards, and one of those."""

SHARD_TAG = "imgrelay/shard"
"""Which shard a run relays: `2 of 3`."""

COORDINATOR_TAG = "imgrelay/coordinator"
"""The run that a shard belongs to."""

PARTITION_TAG = "dagster/partition"

RETRY_TAGS = {"dagster/retry_strategy": "ALL_STEPS"}
"""Re-execution "from failure" drops tasks of an interrupted dynamic run (dagster issues 30248, 30972); all steps again
is cheap, because receipts say what is done."""
