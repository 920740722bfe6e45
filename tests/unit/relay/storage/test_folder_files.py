"""Files of a store in a folder: complete or not there, and nothing is left of a writer that was killed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from obstore.store import LocalStore

from imgrelay_dagster.relay.records.dataset_names import stored_datasets
from imgrelay_dagster.relay.storage.folder_files import PARTIAL_FILES, clear_partial_files, write_file
from imgrelay_dagster.relay.storage.objects import clear_unfinished, create_object, put_object
from tests.support.command import until

_WRITE = """
import sys
from pathlib import Path
from imgrelay_dagster.relay.storage.folder_files import write_file
write_file(Path(sys.argv[1]), "host/a.jpg", Path(sys.argv[2]), durable=True)
"""


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def half_written(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has written half of `host/a.jpg`: it waits for the rest of its data."""
    pipe = folder.parent / f"pipe-{os.urandom(4).hex()}"
    os.mkfifo(pipe)
    before = set(folder.glob(f"{PARTIAL_FILES}/*"))
    with subprocess.Popen([sys.executable, "-c", _WRITE, folder, pipe]) as process, pipe.open("wb") as data:
        data.write(b"half")
        data.flush()
        try:
            until(lambda: set(folder.glob(f"{PARTIAL_FILES}/*")) - before, 20, "a file is being written")
            yield process
        finally:
            process.kill()


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    for data in (b"first", bytearray(b"second")):
        write_file(tmp_path, "host/a.jpg", data, durable=True)
        assert files(tmp_path) == {"host/a.jpg": bytes(data)}


def test_a_killed_writer_leaves_nothing_among_the_images(tmp_path: Path) -> None:
    out = tmp_path / "out"
    put_object(LocalStore(out, mkdir=True), "host/a.jpg", b"stored before", "image/jpeg")
    with half_written(out) as process:
        process.kill()
        process.wait()
        (left,) = set(files(out)) - {"host/a.jpg"}
        assert left.startswith(PARTIAL_FILES)
        clear_unfinished(LocalStore(out))
        assert files(out) == {"host/a.jpg": b"stored before"}
        assert not (out / PARTIAL_FILES).exists()


def test_a_file_that_is_being_written_is_not_deleted(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with half_written(out) as process:
        clear_partial_files(out)
        assert process.poll() is None
        assert len(files(out)) == 1


def test_files_are_written_while_others_clear_the_folder(tmp_path: Path) -> None:
    keys = [f"host-{number % 7}/{number}.jpg" for number in range(200)]
    with ThreadPoolExecutor(5) as pool:
        written = [pool.submit(write_file, tmp_path, key, key.encode(), durable=False) for key in keys]
        while not all(future.done() for future in written):
            clear_partial_files(tmp_path)
        for future in written:
            future.result()
    assert files(tmp_path) == {key: key.encode() for key in keys}


def test_unfinished_files_are_no_dataset(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    put_object(store, "_relay/birds/receipts/form.json", b"{}", "application/json")
    assert (tmp_path / PARTIAL_FILES).is_dir()
    assert stored_datasets(store) == ["birds"]


def test_create_never_replaces(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    create_object(store, "lock", b"first")
    with pytest.raises(Exception, match="exists"):
        create_object(store, "lock", b"second")
    assert files(tmp_path) == {"lock": b"first"}


@pytest.mark.parametrize("key", ["../a.jpg", "a/../../b.jpg", "/a.jpg", "a//b.jpg", "."])
def test_a_key_never_leads_out_of_the_folder(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        write_file(tmp_path / "out", key, b"x", durable=False)
    assert files(tmp_path) == {}


def test_an_error_leaves_no_unfinished_file(tmp_path: Path) -> None:
    (tmp_path / "host").write_text("a file where the folder of the key should be")
    with pytest.raises(OSError, match="host"):
        write_file(tmp_path, "host/a.jpg", b"x", durable=True)
    assert set(files(tmp_path)) == {"host"}


def test_a_folder_on_another_file_system_is_written_to(tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    elsewhere = other / f"imgrelay-{os.getpid()}"
    elsewhere.mkdir()
    try:
        (tmp_path / "host").symlink_to(elsewhere)
        put_object(LocalStore(tmp_path), "host/a.jpg", b"x", "image/jpeg")
        assert files(elsewhere) == {"a.jpg": b"x"}
        assert not list((tmp_path / PARTIAL_FILES).glob("*"))
    finally:
        for path in elsewhere.iterdir():
            path.unlink()
        elsewhere.rmdir()
