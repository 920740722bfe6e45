"""S3-compatible servers as they are: what the check of the destination finds, and that everything works with it."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.demo.ports import HOST, free_ports
from imgrelay_dagster.relay.planning.destination_check import check_destination
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.objects import delete_objects, put_object
from imgrelay_dagster.relay.storage.reading import CHUNK_SIZE, read_chunks
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE
from imgrelay_dagster.relay.storage.s3_settings import S3Settings
from imgrelay_dagster.relay.storage.stores import open_store
from tests.conftest import Ran
from tests.support.azurite import MODULES

ACCESS_KEY, SECRET_KEY = "accesskey123", "secretkey123"
BUCKET = "images"


def program(name: str) -> str:
    """The path of a program that a Python package installed."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    assert found is not None, f"{name} is not installed"
    return found


@contextmanager
def serving(command: list[str], folder: Path, port: int) -> Iterator[str]:
    """Run a server until the block ends; yields its endpoint."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "MINIO_ROOT_USER": ACCESS_KEY,
        "MINIO_ROOT_PASSWORD": SECRET_KEY,
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection((HOST, port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.1)
        yield f"http://{HOST}:{port}"
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(params=["rclone", "juicefs", "s3rver", "moto"])
def endpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The name and the endpoint of a server with a bucket."""
    if request.param == "moto":
        with moto(tmp_path) as url:
            yield request.param, url
        return
    (port,) = free_ports(1)
    address = f"{HOST}:{port}"
    with ExitStack() as exits:
        if request.param == "rclone":
            (tmp_path / "data" / BUCKET).mkdir(parents=True)
            keys = f"{ACCESS_KEY},{SECRET_KEY}"
            command = [program("rclone"), "serve", "s3", "--addr", address, "--auth-key", keys, str(tmp_path / "data")]
        elif request.param == "s3rver":
            script, node = MODULES / "s3rver" / "bin" / "s3rver.js", shutil.which("node")
            if node is None or not script.is_file():
                pytest.skip("needs node and s3rver, which .ci/run installs")
            options = ["--directory", str(tmp_path / "data"), "--address", HOST, "--port", str(port)]
            command = [node, str(script), *options, "--configure-bucket", BUCKET]
        else:
            database = f"sqlite3://{tmp_path}/meta.db"
            made = [program("juicefs"), "format", "--storage", "file", "--bucket", f"{tmp_path}/data", database, BUCKET]
            subprocess.run(made, check=True, capture_output=True, timeout=60)
            command = [program("juicefs"), "gateway", database, address, "--no-usage-report"]
        url = exits.enter_context(serving(command, tmp_path, port))
        if request.param == "juicefs":
            create_bucket(url)
        yield request.param, url


@contextmanager
def moto(folder: Path) -> Iterator[str]:
    """A moto server with a bucket; yields its endpoint."""
    (port,) = free_ports(1)
    with serving([program("moto_server"), "-H", HOST, "-p", str(port)], folder, port) as url:
        create_bucket(url)
        yield url


def create_bucket(url: str) -> None:
    """Create the bucket. The server listens before it serves."""
    config = Config(retries={"total_max_attempts": 10, "mode": "standard"}, proxies={})
    keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", config=config, **keys)
    if BUCKET not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=BUCKET)


def test_a_server_is_used_as_far_as_it_goes(endpoint: tuple[str, str]):
    name, url = endpoint
    address = f"s3://{BUCKET}/p"
    keys = ("S3RVER", "S3RVER") if name == "s3rver" else (ACCESS_KEY, SECRET_KEY)
    access = S3Settings(url, "us-east-1", *keys)
    features = check_destination(
        lambda options: open_store(address, access, INTERACTIVE, options), Settings("birds", address), "run"
    )
    assert features.options.checksums
    assert features.conditional_writes == (name == "moto")
    store = open_store(address, access, INTERACTIVE, features.options)
    data = os.urandom(2 * CHUNK_SIZE + 5)
    put_object(store, "large", data, "application/octet-stream")
    assert b"".join(read_chunks(store, "large", len(data))) == data
    put_object(store, "a b/ü+x.jpg", b"123", "image/jpeg", headers={"Cache-Control": "max-age=1", "team": "x"})
    attributes = store.get("a b/ü+x.jpg").attributes
    kept = {} if name == "juicefs" else {"Cache-Control": "max-age=1", "team": "x"}
    assert attributes == {"Content-Type": "image/jpeg", **kept}
    assert sorted(meta["path"] for meta in store.list().collect()) == ["a b/ü+x.jpg", "large"]
    delete_objects(store, ["missing", "large", "a b/ü+x.jpg"])
    assert store.list().collect() == []


@pytest.mark.parametrize("endpoint", ["rclone"], indirect=True)
def test_a_whole_relay_without_ranges_and_conditions(
    endpoint: tuple[str, str], origin: Origin, imgrelay: Callable[..., Ran], tmp_path: Path
):
    """Results are written, and the next run reads them: it finds nothing left to do."""
    environment = {
        "AWS_ENDPOINT_URL_S3": endpoint[1],
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "IMGRELAY_STAGING": f"s3://{BUCKET}/staging",
    }
    (tmp_path / "birds.txt").write_text("\n".join(origin.many(4)))
    destination = ("--destination", f"s3://{BUCKET}/out")
    for uploaded in (4, 0):
        ran = imgrelay("run", "--manifest", tmp_path / "birds.txt", *destination, "--json", **environment)
        assert (ran.code, ran.summary["uploaded"], ran.summary["unchanged"]) == (0, uploaded, 4 - uploaded), ran.err
    assert imgrelay("verify", "--read", *destination, **environment).code == 0
