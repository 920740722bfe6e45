"""Store outages, and the checks of the run that is launched after one."""

import json
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from dagster_aws.s3 import S3Resource

from imgrelay_dagster.monitoring import housekeeping
from imgrelay_dagster.resources import StoresResource
from tests.conftest import Ran
from tests.support.s3_proxy import Fault, FaultyS3, Request
from tests.support.stored_files import Bucket, check_accounts, check_right, results

Command = Callable[..., Ran]


def at_images(kind: Fault, after: int) -> Callable[[Request], Fault | None]:
    """Make every request fail after `after` images, but not before the receipts of a first task are stored.

    Two tasks are uploaded at a time: without a receipt the next run would have to do everything again.
    """
    images = receipts = 0

    def fault_for(request: Request) -> Fault | None:
        nonlocal images, receipts
        images += request.is_image
        if images > after and receipts:
            return kind
        receipts += request.is_receipt
        return None

    return fault_for


def the_next_launch_does_the_rest(
    imgrelay: Command,
    home: Path,
    store: FaultyS3,
    bucket: Bucket,
    options: tuple[object, ...],
    *,
    status: str,
    entries: int,
) -> None:
    """Launch again and check both runs: the interrupted one gets results that list as stored only what is stored."""
    again = imgrelay("run", *options, **store.environment())
    assert again.code == 0, again.err
    settle_all(home, store)
    assert again.summary["uploaded"] + again.summary["unchanged"] == entries
    assert again.summary["unchanged"] > 0
    stored = bucket.objects()
    check_right(stored, check_accounts(stored, again.summary, entries))
    summaries = [json.loads(data) for key, data in stored.items() if key.endswith("/summary.json")]
    (before,) = (summary for summary in summaries if summary["run_id"] != again.summary["run_id"])
    assert (before["status"], before["entries"]) == (status, entries)
    assert before["not_attempted"] > 0
    rows = results(stored, before)
    check_right(stored, rows)
    assert {row["reason"] for row in rows} <= {None, "upload_error"}
    assert before["uploaded"] == again.summary["unchanged"]
    assert not [key for key in stored if key.endswith(("lock.json", "ledger.jsonl.gz"))]


def settle_all(home: Path, store: FaultyS3) -> None:
    """Settle ended runs at once, as the next command or the sensor does ten seconds later."""
    given = store.environment()
    s3 = S3Resource(
        endpoint_url=given["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
    )
    stores = StoresResource(s3=s3, staging_address=str(home / "staging"))
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.from_config(str(home)) as instance:
        patch.setattr(housekeeping, "GRACE", 0.0)
        list(housekeeping.settle_ended_runs(instance, stores))
