"""Azurite, the emulator of Azure's blob storage, as a child process on 127.0.0.1. It comes from npm (`.ci/run`).

with Azurite(folder) as store:
    store.create_container("images")
    os.environ.update(store.environment())
"""

import base64
import hashlib
import hmac
import http.client
import os
import shutil
import signal
import time
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Self
from urllib.parse import quote, urlencode, urlsplit

import pytest

from imgrelay_dagster.demo import child
from imgrelay_dagster.demo.ports import HOST, free_ports

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account and key that every Azurite has; they are public (learn.microsoft.com, "Azurite")."""

MODULES = Path(__file__).parents[2] / ".npm" / "node_modules"
START_SECONDS = 60.0


class Azurite:
    """The emulator; it runs during a `with` block and keeps its data in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._program = MODULES / "azurite" / "dist" / "src" / "blob" / "main.js"

    def __enter__(self) -> Self:
        node = shutil.which("node")
        if node is None or not self._program.is_file():
            pytest.skip("needs node and azurite, which .ci/run installs")
        (port,) = free_ports(1)
        self.endpoint = f"http://{HOST}:{port}"
        options = ("--blobHost", HOST, "--blobPort", str(port), "--inMemoryPersistence", "--skipApiVersionCheck")
        with (self._folder / "azurite.log").open("wb") as log:
            self._process = child.start(
                [node, self._program, *options, "--silent", "--disableTelemetry"],
                environment={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self._folder)},
                death_signal=signal.SIGKILL,
                folder=self._folder,
                output=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self._request("GET", f"/{ACCOUNT}?comp=list")
                return self
            except OSError:
                assert self._process.poll() is None, (self._folder / "azurite.log").read_text()
                assert time.monotonic() < deadline, "Azurite does not answer"
                time.sleep(0.1)

    def __exit__(self, *_: object) -> None:
        child.stop(self._process, seconds=5.0)

    def environment(self) -> dict[str, str]:
        """The variables that lead a client here, as Azure's own tools take them."""
        text = f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={self.endpoint}/{ACCOUNT};"
        return {"AZURE_STORAGE_CONNECTION_STRING": text}

    def emulator_environment(self) -> dict[str, str]:
        """The same as obstore takes them for the emulator."""
        return {"AZURE_STORAGE_USE_EMULATOR": "true", "AZURITE_BLOB_STORAGE_URL": self.endpoint}

    def sas_environment(self) -> dict[str, str]:
        """The same with a shared access signature in place of the key ("Create an account SAS")."""
        fields = {"sp": "rwdlac", "ss": "b", "srt": "sco", "st": "", "se": "2099-01-01T00:00:00Z", "sip": "", "spr": ""}
        text = "\n".join([ACCOUNT, *fields.values(), "2023-11-03", "", ""])
        digest = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
        given = {name: value for name, value in fields.items() if value} | {"sv": "2023-11-03"}
        signature = urlencode({**given, "sig": base64.b64encode(digest).decode()})
        address = f"BlobEndpoint={self.endpoint}/{ACCOUNT}"
        return {"AZURE_STORAGE_CONNECTION_STRING": f"AccountName={ACCOUNT};{address};SharedAccessSignature={signature}"}

    def create_container(self, name: str) -> None:
        status = self._request("PUT", f"/{ACCOUNT}/{name}?restype=container")
        assert status in (201, 409), status

    def put_empty(self, container: str, name: str) -> None:
        """Store an empty object, whose name may be one that obstore rejects."""
        status = self._request("PUT", f"/{ACCOUNT}/{container}/{quote(name)}", {"x-ms-blob-type": "BlockBlob"})
        assert status == 201, status

    def headers_of(self, container: str, name: str) -> dict[str, str]:
        """The headers that a blob is served with, their names in lower case."""
        return self._send("HEAD", f"/{ACCOUNT}/{container}/{quote(name)}")[1]

    def _request(self, method: str, path: str, more: Mapping[str, str] | None = None) -> int:
        return self._send(method, path, more)[0]

    def _send(self, method: str, path: str, more: Mapping[str, str] | None = None) -> tuple[int, dict[str, str]]:
        """Send a request without a body, signed with the account's key ("Authorize with Shared Key").

        Returns the status and the headers of the answer.
        """
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2023-11-03", **(more or {})}
        parts = urlsplit(path)
        query = "".join(f"\n{pair.replace('=', ':')}" for pair in sorted(filter(None, parts.query.split("&"))))
        named = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
        text = f"{method}\n\n\n\n\n\n\n\n\n\n\n\n{named}/{ACCOUNT}{parts.path}{query}"
        digest = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
        signature = base64.b64encode(digest).decode()
        connection = http.client.HTTPConnection(urlsplit(self.endpoint).netloc, timeout=10)
        try:
            connection.request(method, path, headers={**headers, "Authorization": f"SharedKey {ACCOUNT}:{signature}"})
            answer = connection.getresponse()
            answer.read()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()
