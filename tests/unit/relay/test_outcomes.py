"""Which failures are permanent, so that later runs do not retry them; and pickling of records."""

import pickle
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgrelay_dagster.relay.outcomes import (
    PERMANENT_REASONS,
    TRANSIENT_STATUSES,
    Outcome,
    Reason,
    Record,
    Seconds,
    changed,
    is_permanent,
)
from imgrelay_dagster.relay.staging.pack_location import PackLocation
from imgrelay_dagster.relay.staging.tasks import Task


def failed(reason: Reason, http_status: int | None = None) -> Record:
    return Record(1, "http://h/a.jpg", outcome=Outcome.FAILED, reason=reason, http_status=http_status)


@pytest.mark.parametrize("status", [400, 404, 405, 410, 415, 499])
def test_client_errors_are_permanent(status: int):
    assert is_permanent(failed(Reason.HTTP_STATUS, status))


@pytest.mark.parametrize("status", [None, 206, 304, 399, 401, 403, 407, 451, 408, 420, 425, 429, 500, 502, 503, 599])
def test_other_statuses_are_not_permanent(status: int | None):
    assert not is_permanent(failed(Reason.HTTP_STATUS, status))


@pytest.mark.parametrize("reason", [*Reason])
def test_other_failures_are_permanent_by_their_reason_whatever_the_status(reason: Reason):
    permanent = {
        *("not_found", "too_large", "too_many_redirects", "unsupported_format", "too_many_pixels", "corrupt_image"),
        *("too_small", "too_costly", "compose_error", "output_too_large"),
    }
    if reason is not Reason.HTTP_STATUS:
        assert is_permanent(failed(reason, 404)) is (reason.value in permanent)
        assert is_permanent(failed(reason)) is (reason in PERMANENT_REASONS)


def test_the_transient_client_errors_are_408_420_425_and_429():
    assert {int(status) for status in TRANSIENT_STATUSES} == {408, 420, 425, 429}


def test_an_uploaded_entry_is_not_permanent():
    assert not is_permanent(Record(1, "http://h/a.jpg", outcome=Outcome.UPLOADED))


texts, numbers = st.text(max_size=20), st.none() | st.integers(0, 2**53)


@given(
    st.builds(Record), st.builds(Seconds), st.builds(PackLocation, texts, st.integers(0), st.integers(0), st.booleans())
)
def test_pickling_preserves_a_task_and_its_records(record: Record, seconds: Seconds, place: PackLocation):
    task = Task("task", (record,), deferred=(Record(3, "u", seconds=seconds),), locations={record.line: place})
    assert pickle.loads(pickle.dumps(task, protocol=4)) == task


def test_a_changed_record_has_all_other_values():
    record = Record(7, "http://host/a.jpg", key="a.jpg", carried={"sku": "1"}, part=2)
    assert changed(record, key="b.jpg", at=3.0) == replace(record, key="b.jpg", at=3.0)
    assert record.key == "a.jpg"


def test_a_record_has_no_other_fields():
    with pytest.raises(AttributeError, match="colour"):
        changed(Record(7, "http://host/a.jpg"), colour="red")
