"""The number and the names of tasks."""

import pytest

from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.staging.tasks import (
    LARGEST_TASK,
    PER_URL_LIMIT,
    SMALLEST_TASK,
    entries_per_task,
    split_into_tasks,
)


def test_few_entries_are_a_task_each():
    records = [Record(line, f"http://h/{line}/köln ü.jpg") for line in range(1, PER_URL_LIMIT + 1)]
    size = entries_per_task(len(records), requested=None, max_concurrent=2)
    names = [task.name for task in split_into_tasks(records, size)]
    assert len(names) == PER_URL_LIMIT
    assert names[0] == "line_1_k_ln_jpg"


@pytest.mark.parametrize("entries", [26, 100, 101, 1_000, 2_000, 10_000, 100_000])
@pytest.mark.parametrize("max_concurrent", [2, 8, 32])
def test_many_entries_are_few_tasks_in_a_multiple_of_the_concurrent_steps(entries: int, max_concurrent: int):
    size = entries_per_task(entries, requested=None, max_concurrent=max_concurrent)
    assert 1 < size <= LARGEST_TASK
    tasks = len(list(split_into_tasks([Record(line, "http://h/a") for line in range(entries)], size)))
    assert tasks <= entries / LARGEST_TASK + max_concurrent
    assert size == SMALLEST_TASK or tasks % max_concurrent == 0


def test_a_requested_task_size_is_used():
    tasks = list(split_into_tasks([Record(line, "http://h/a") for line in range(1, 8)], 3))
    assert entries_per_task(7, requested=3, max_concurrent=2) == 3
    assert [task.name for task in tasks] == ["lines_1_to_3", "lines_4_to_6", "lines_7_to_7"]
