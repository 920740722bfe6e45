"""Google Cloud Storage and Azure Blob Storage, as far as test servers stand in for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from obstore.store import ObjectStore

from imgrelay_dagster.config.azure_access import azure_access
from imgrelay_dagster.config.google_access import google_access
from imgrelay_dagster.relay.storage.retry_policy import BULK, RetryPolicy
from imgrelay_dagster.relay.storage.stores import open_store
from tests.support.azurite import Azurite
from tests.support.google_store import GoogleStore

BUCKET = "images"
SCHEMES = ("gs", "az")
NO_PROXY = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
"""A proxy that does not exist, so that no test ever reaches a metadata service."""


@dataclass(frozen=True)
class Cloud:
    """A store, its scheme, the variables that lead a client to it, and its server."""

    scheme: str
    environment: dict[str, str]
    server: Azurite | GoogleStore

    def address(self, prefix: str) -> str:
        return f"{self.scheme}://{BUCKET}/{prefix}"

    def open(self, prefix: str, policy: RetryPolicy = BULK) -> ObjectStore:
        access = google_access(self.environment) if self.scheme == "gs" else azure_access(self.environment)
        return open_store(self.address(prefix), access, policy)

    def put_empty(self, key: str) -> None:
        """Store an empty object, whose name may be one that obstore rejects."""
        if isinstance(self.server, GoogleStore):
            self.server.put(key, b"", {"content-type": "text/plain"})
        else:
            self.server.put_empty(BUCKET, key)

    def headers_of(self, key: str) -> dict[str, str]:
        """The headers that an object was stored with, as the store has them; their names in lower case."""
        if isinstance(self.server, GoogleStore):
            return self.server.objects[key].headers
        return self.server.headers_of(BUCKET, key)


@contextmanager
def start_cloud(scheme: str, folder: Path) -> Iterator[Cloud]:
    """Start the server of a store, with a bucket. `folder`: for its files."""
    if scheme == "gs":
        with GoogleStore(BUCKET) as google:
            yield Cloud(scheme, {**google.environment(), **NO_PROXY}, google)
    else:
        with Azurite(folder) as azurite:
            azurite.create_container(BUCKET)
            yield Cloud(scheme, {**azurite.environment(), **NO_PROXY}, azurite)
