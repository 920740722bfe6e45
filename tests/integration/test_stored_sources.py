"""Originals from a real store and from files."""

import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from obstore.store import ObjectStore

from imgrelay_dagster.relay.errors import EntryFailure, Stopped
from imgrelay_dagster.relay.fetch.limits import Limits
from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.stages.stored_sources import StoredSources
from imgrelay_dagster.relay.storage.retry_policy import RetryPolicy
from imgrelay_dagster.relay.storage.s3_settings import S3Settings
from imgrelay_dagster.relay.storage.source_access import ANYTHING
from imgrelay_dagster.relay.storage.stores import open_store
from imgrelay_dagster.resources import StoresResource, build_resources
from tests.support.stored_files import Bucket

LIMITS = Limits(max_bytes=1_000_000, deadline=20, attempts=2)


def fetch(
    url: str,
    limits: Limits = LIMITS,
    stop: threading.Event | None = None,
    open_one: Callable[[str, RetryPolicy], ObjectStore] | None = None,
) -> bytes:
    body = io.BytesIO()

    @contextmanager
    def sink() -> Iterator[io.BytesIO]:
        yield body

    stores = build_resources()["stores"]
    assert isinstance(stores, StoresResource)
    sources = StoredSources(open_one or stores.open, limits, (ANYTHING,), stop or threading.Event())
    fetched = sources.fetch(url, sink)
    assert fetched.bytes_in == len(body.getvalue())
    return body.getvalue()


def failure(url: str, limits: Limits = LIMITS) -> EntryFailure:
    with pytest.raises(EntryFailure) as failed:
        fetch(url, limits)
    return failed.value


def test_objects_are_read_within_the_limits(bucket: Bucket, monkeypatch: pytest.MonkeyPatch):
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    data = os.urandom(700_000)
    for key, body in (("a/ü #1?.jpg", data), ("large.jpg", data * 2), ("empty.jpg", b"")):
        bucket.client.put_object(Bucket=bucket.name, Key=key, Body=body)
    assert fetch(f"s3://{bucket.name}/a/ü #1?.jpg") == data
    assert failure(f"s3://{bucket.name}/large.jpg").reason is Reason.TOO_LARGE
    assert failure(f"s3://{bucket.name}/empty.jpg").reason is Reason.EMPTY_BODY
    assert failure(f"s3://{bucket.name}/gone.jpg").reason is Reason.NOT_FOUND
    assert failure("s3://no-such-bucket-here/a.jpg").reason is Reason.NOT_FOUND
    given = bucket.environment
    wrong = S3Settings(given["AWS_ENDPOINT_URL_S3"], "us-east-1", given["AWS_ACCESS_KEY_ID"], "wrong")
    with pytest.raises(EntryFailure) as failed:
        fetch(f"s3://{bucket.name}/a/ü #1?.jpg", open_one=lambda address, policy: open_store(address, wrong, policy))
    denied = failed.value
    assert denied.reason is Reason.ACCESS_DENIED
    assert "wrong" not in denied.detail


def test_a_store_that_does_not_answer_is_a_connect_error(monkeypatch: pytest.MonkeyPatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    failed = failure("s3://bucket/a.jpg", replace(LIMITS, deadline=2, attempts=1))
    assert failed.reason is Reason.CONNECT_ERROR


def test_files_are_read_within_the_limits(tmp_path: Path):
    (tmp_path / "a b.jpg").write_bytes(b"image")
    (tmp_path / "large.jpg").write_bytes(bytes(1_000_001))
    os.mkfifo(tmp_path / "pipe.jpg")
    assert fetch(f"{tmp_path}/a b.jpg") == fetch(f"file://{tmp_path}/a b.jpg") == b"image"
    assert failure(f"{tmp_path}/large.jpg").reason is Reason.TOO_LARGE
    for name in ("gone.jpg", "pipe.jpg", "a b.jpg/x.jpg", ""):
        assert failure(f"{tmp_path}/{name}").reason is Reason.NOT_FOUND
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        fetch(f"{tmp_path}/a b.jpg", stop=stop)
