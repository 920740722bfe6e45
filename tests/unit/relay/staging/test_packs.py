"""Packs: entries written by many threads are read back unchanged, with few objects and few reads."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from obstore.store import LocalStore

from imgrelay_dagster.relay.outcomes import MOST_PARTS, Record, Stage
from imgrelay_dagster.relay.staging import packs
from imgrelay_dagster.relay.staging.packs import PackReader, PackWriter
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.staging.tasks import Task


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(LocalStore(tmp_path), "run1")


def staged(folder: Path) -> list[str]:
    """The files in staging."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_entries_share_packs_and_large_ones_have_their_own_objects(staging: Staging, tmp_path: Path):
    large, medium = b"L" * (packs.MAX_PACKED_ENTRY + 1), b"M" * packs.MAX_PACKED_ENTRY
    mediums = range(5, 6 + packs.PACK_SIZE // packs.MAX_PACKED_ENTRY)  # the first pack and one more
    with PackWriter(staging, "lines", Stage.DOWNLOAD) as writer:
        writer.add(1, b"first")
        with writer.open_entry(2) as buffer:
            buffer.write(b"sec")
            buffer.write(b"ond")
        with writer.open_entry(3) as buffer:
            buffer.write(large[:9])
            buffer.write(large[9:])
        writer.add(4, large)
        for entry in mediums:
            writer.add(entry, medium)
        for data in (large, b"small"):
            with pytest.raises(ZeroDivisionError), writer.open_entry(10) as buffer:
                buffer.write(data)
                raise ZeroDivisionError
    expected = {
        1: b"first",
        2: b"second",
        3: large,
        4: large,
        **dict.fromkeys(mediums, medium),
    }
    task = Task(
        "lines",
        tuple(Record(entry // MOST_PARTS, "", part=entry % MOST_PARTS) for entry in expected),
        locations=writer.locations,
    )
    reader = PackReader(staging, task)
    assert {record.entry: reader.read(record.entry) for record in reader.task_in_pack_order().records} == expected
    assert len(staged(tmp_path)) == 4  # a full pack, the last pack, and two objects of single entries


def test_each_pack_is_read_once_whatever_the_order_of_the_records(staging: Staging, tmp_path: Path):
    medium = b"M" * packs.MAX_PACKED_ENTRY
    lines = [7, 3, 9, 1, 8, 2, 6, 4, 5, 10, 11, 12]  # in the order of arrival
    with PackWriter(staging, "lines", Stage.DOWNLOAD) as writer:
        for entry in lines:
            writer.add(entry, medium)
    task = Task(
        "lines",
        tuple(Record(entry // MOST_PARTS, "", part=entry % MOST_PARTS) for entry in sorted(lines)),
        locations=writer.locations,
    )
    reader = PackReader(staging, task)
    for record in reader.task_in_pack_order().records:
        assert reader.read(record.entry) == medium
        (tmp_path / writer.locations[record.entry].key).unlink(missing_ok=True)  # so that it cannot be read again


def test_threads_share_packs(staging: Staging, tmp_path: Path):
    wanted = {entry: bytes([entry % 251]) * (1000 + 997 * entry) for entry in range(400)}
    with PackWriter(staging, "lines", Stage.DOWNLOAD) as writer, ThreadPoolExecutor(16) as threads:
        list(threads.map(writer.add, wanted, wanted.values()))
    task = Task(
        "lines",
        tuple(Record(entry // MOST_PARTS, "", part=entry % MOST_PARTS) for entry in wanted),
        locations=writer.locations,
    )
    reader = PackReader(staging, task)
    lines = [record.entry for record in reader.task_in_pack_order().records]
    with ThreadPoolExecutor(16) as threads:
        assert dict(zip(lines, threads.map(reader.read, lines), strict=True)) == wanted
    sizes = [(tmp_path / name).stat().st_size for name in staged(tmp_path)]
    assert sum(sizes) == sum(map(len, wanted.values()))
    assert max(sizes) < packs.PACK_SIZE + packs.MAX_PACKED_ENTRY
    assert sum(size < packs.PACK_SIZE for size in sizes) <= 1


def test_an_interrupted_stage_leaves_no_pack(staging: Staging, tmp_path: Path):
    with pytest.raises(ZeroDivisionError), PackWriter(staging, "lines", Stage.DOWNLOAD) as writer:
        writer.add(1, b"first")
        raise ZeroDivisionError
    assert not staged(tmp_path)
