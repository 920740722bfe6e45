"""Op `plan`: acquiring the lock of the dataset."""

import threading
from pathlib import Path

import dagster as dg
import pytest
from dagster_aws.s3 import S3Resource

from imgrelay_dagster.config.run_options import RelayOptions
from imgrelay_dagster.config.sections import ShardConfig
from imgrelay_dagster.ops import plan
from imgrelay_dagster.ops.step import Step
from imgrelay_dagster.relay.records.dataset_lock import DatasetHeld, acquire_lock, lock_holder, release_lock
from imgrelay_dagster.relay.storage.stores import open_store
from imgrelay_dagster.resources import StoresResource


def held_step(folder: Path, instance: dg.DagsterInstance, shard: ShardConfig | None) -> Step:
    """A step of a run of dataset `birds`."""
    stores = StoresResource(s3=S3Resource(), staging_address=str(folder / "staging"))
    options = RelayOptions(dataset="birds", destination=str(folder / "out"), shard=shard)
    return Step(dg.build_op_context(instance=instance), options.settings(), stores)


def test_a_shard_waits_for_the_dataset_lock_and_any_other_run_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plan, "LOCK_RETRY_INTERVAL", 0.05)
    store = open_store(str(tmp_path / "out"))
    acquire_lock(store, "birds", "other", is_over=lambda _: False)
    with dg.DagsterInstance.ephemeral() as instance:
        refused = held_step(tmp_path, instance, None)
        with (
            pytest.raises(DatasetHeld, match="dataset 'birds' is being relayed by run other"),
            plan._hold_dataset_lock(refused, refused.stores.staging(refused.context.run_id)),
        ):
            pass
        shard = ShardConfig(coordinator="whole", number=1, of=2)
        releasing = threading.Timer(0.3, release_lock, (store, "birds", "other"))
        releasing.start()
        step = held_step(tmp_path, instance, shard)
        with plan._hold_dataset_lock(step, step.stores.staging(step.context.run_id)):
            assert not releasing.is_alive()
            held = lock_holder(store, "birds")
            assert held is not None
            assert held.run_id == step.context.run_id
