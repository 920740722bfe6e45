"""The resources of all ops: HTTP client, template folder, stores, IO manager. The one place where they are built."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import dagster as dg
from botocore.exceptions import BotoCoreError, ClientError
from dagster_aws.s3 import S3Resource
from obstore.exceptions import BaseError
from obstore.store import ObjectStore
from pydantic import Field

from imgrelay_dagster.config import environment
from imgrelay_dagster.config.allowed_paths import check_local_path
from imgrelay_dagster.config.azure_access import azure_access, list_azure_container
from imgrelay_dagster.config.google_access import google_access, list_google_bucket
from imgrelay_dagster.config.s3_access import requester_pays, s3_access, s3_resource
from imgrelay_dagster.record_io_manager import RecordIOManager
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.fetch.address_guard import AddressGuard
from imgrelay_dagster.relay.fetch.downloader import Downloader, Limits
from imgrelay_dagster.relay.fetch.host_board import HostBoard
from imgrelay_dagster.relay.fetch.origin_settings import OriginRules, read_origin_settings
from imgrelay_dagster.relay.imaging.template_folder import SHIPPED_FOLDER, TemplateFolder
from imgrelay_dagster.relay.staging.originals import KeptOriginals
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.storage.addresses import absolute, is_remote, scheme_of
from imgrelay_dagster.relay.storage.error_text import explain
from imgrelay_dagster.relay.storage.listing import ListedObject
from imgrelay_dagster.relay.storage.retry_policy import BULK, INTERACTIVE, RetryPolicy
from imgrelay_dagster.relay.storage.scratch_files import SCRATCH, set_scratch_place
from imgrelay_dagster.relay.storage.store_options import DEFAULT_OPTIONS, StoreOptions
from imgrelay_dagster.relay.storage.stored_files import StoredFiles
from imgrelay_dagster.relay.storage.stores import Access, open_store


class StoresResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Opens destination, receipts, inbox and staging: folders, and buckets of S3, Google and Azure."""

    s3: dg.ResourceDependency[S3Resource]
    staging_address: str = Field(description="Scratch space: a local folder, or a bucket for several hosts.")

    def open(self, address: str, policy: RetryPolicy = BULK, options: StoreOptions = DEFAULT_OPTIONS) -> ObjectStore:
        """The store at this address.

        Args:
            policy: time limits and retries. `BULK` for images and results, `INTERACTIVE` for side tasks or once a run
                has ended, `PROBE` for the first request, which finds out whether the store answers at all.
            options: of a run's destination, what its settings say (`Settings.store`).

        Raises:
            RelayError: it cannot be opened, or there are no credentials for it.
        """
        address = absolute(address)
        return open_store(address, self._access(address), policy, options)

    def _access(self, address: str) -> Access | None:
        match scheme_of(address):
            case "s3":
                return s3_access(self.s3)
            case "gs":
                return google_access()
            case "az":
                return azure_access()
        return None

    def staging(self, run_id: str) -> Staging:
        """Open the scratch space of one run.

        Raises:
            RelayError: it cannot be opened.
        """
        return Staging(self.open_staging(), run_id, self.open_staging(INTERACTIVE), self._kept_originals())

    def brief_staging(self, run_id: str) -> Staging:
        """Open the scratch space of a run that has ended, with short time limits."""
        return Staging(self.open_staging(INTERACTIVE), run_id, kept=self._kept_originals())

    def _kept_originals(self) -> KeptOriginals | None:
        """Where downloads of interrupted runs are kept: beside a local staging folder, else nowhere."""
        address, limit = absolute(self.staging_address), environment.KEEP_ORIGINALS.get()
        if is_remote(address) or not limit:
            return None
        return KeptOriginals(Path(f"{address.rstrip('/')}-originals"), limit)

    @property
    def staging_folder(self) -> Path | None:
        """Scratch space if it is a local folder."""
        address = absolute(self.staging_address)
        return None if is_remote(address) else Path(address)

    def staged_runs(self) -> list[str]:
        """The IDs of the runs that have scratch files.

        Raises:
            RelayError: the staging space cannot be reached.
        """
        try:
            found = self.open(self.staging_address, INTERACTIVE).list_with_delimiter()
        except (BaseError, OSError) as error:
            raise RelayError(f"staging {self.staging_address!r} cannot be listed: {explain(error)}") from error
        return sorted({prefix.rstrip("/") for prefix in found["common_prefixes"]} - {SCRATCH})

    def list_any(self, address: str) -> Iterator[ListedObject]:
        """List all objects below an address by another client than obstore, also those whose keys it rejects.

        Raises:
            RelayError: it cannot be listed.
        """
        address = absolute(address)
        match scheme_of(address):
            case "gs":
                return list_google_bucket(address)
            case "az":
                return list_azure_container(address)
        return self._list_s3(address)

    def _list_s3(self, address: str) -> Iterator[ListedObject]:
        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        below = f"{prefix}/" if prefix else ""
        pages = self.s3.get_client().get_paginator("list_objects_v2")
        payer = {"RequestPayer": "requester"} if requester_pays() else {}
        try:
            for page in pages.paginate(Bucket=bucket, Prefix=below, **payer):
                for item in page.get("Contents", []):
                    yield ListedObject(
                        item["Key"].removeprefix(below), item["Size"], item["ETag"], item["LastModified"]
                    )
        except (BotoCoreError, ClientError) as error:
            raise RelayError(f"{address!r} cannot be listed: {error}") from error

    def open_staging(self, policy: RetryPolicy = BULK) -> ObjectStore:
        """The store of all scratch space.

        Raises:
            RelayError: it cannot be opened.
        """
        try:
            return self.open(self.staging_address, policy)
        except RelayError as error:
            raise RelayError(f"staging: {error}; IMGRELAY_STAGING sets it") from error


class TemplatesResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The folder of template pictures, by default the folder shipped with the package."""

    stores: dg.ResourceDependency[StoresResource]
    folder: str | None = Field(None, description="Folder of template pictures, also in a store.")
    also: str | None = Field(None, description="A template outside the folder, given to the command by its path.")

    @property
    def is_remote(self) -> bool:
        """Whether templates are read from a store."""
        return self.folder is not None and is_remote(self.folder)

    def open(self) -> TemplateFolder:
        """The templates of the folder. One in a store is read when it is first needed, once for each call of `open`.

        Raises:
            RelayError: the folder is not in a known store, or its bucket or prefix is not valid.
        """
        also = Path(self.also) if self.also else None
        if self.folder is None or not is_remote(self.folder):
            return TemplateFolder(Path(self.folder) if self.folder else SHIPPED_FOLDER, also)
        check_local_path("template folder", self.folder, [])
        return TemplateFolder(StoredFiles(absolute(self.folder), self.stores.open), also)


class HttpResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The HTTP client that downloads images, behind the address guard."""

    allowed_hosts: list[str] = Field([], description="Hosts and networks exempt from the address guard.")

    origin_settings: str | None = Field(None, description="File with settings for hosts.")

    def origin_rules(self) -> OriginRules:
        """The settings for hosts. Their secrets come from the environment of the process that downloads.

        Raises:
            RelayError: the file is not valid.
        """
        return read_origin_settings(self.origin_settings, os.environ)

    def guard(self) -> AddressGuard:
        """The address guard.

        Raises:
            RelayError: an exempt host is not valid.
        """
        return AddressGuard(self.allowed_hosts)

    def downloader(
        self,
        limits: Limits,
        stop: threading.Event,
        board: HostBoard | None = None,
        adjusted_rate: Callable[[], float | None] = lambda: None,
    ) -> Downloader:
        """A client with its own connection pool. The caller closes it."""
        rules = self.origin_rules()
        return Downloader(limits, self.guard(), stop=stop, board=board, rules=rules, adjusted_rate=adjusted_rate)


def staging_address() -> str:
    """The address of scratch space: `IMGRELAY_STAGING`, else the folder `staging` of the Dagster instance."""
    return environment.STAGING.get() or str(Path(os.environ.get("DAGSTER_HOME") or ".") / "staging")


def build_stores() -> StoresResource:
    """Build the resource that opens stores from the environment."""
    _remove_empty_variables()
    stores = StoresResource(s3=s3_resource(), staging_address=staging_address())
    has_staging = environment.STAGING.get() or os.environ.get("DAGSTER_HOME")
    set_scratch_place(stores.staging_folder if has_staging else None)
    return stores


def build_resources() -> dict[str, object]:
    """Build all resources from the environment."""
    stores = build_stores()
    hosts = list(environment.ALLOWED_HOSTS.get())
    return {
        "stores": stores,
        "templates": TemplatesResource(
            stores=stores,
            folder=environment.TEMPLATES.get(),
            also=environment.ARGUMENT_TEMPLATE.get(),
        ),
        "http": HttpResource(allowed_hosts=hosts, origin_settings=environment.ORIGIN_SETTINGS.get()),
        "io_manager": _record_io_manager(stores),
    }


def _remove_empty_variables() -> None:
    """Remove the stores' variables that are empty, as an .env file may leave them: some make obstore's client panic."""
    prefixes = ("AWS_", "AZURE_", "GOOGLE_")
    for name in [name for name, value in os.environ.items() if name.startswith(prefixes) and not value]:
        del os.environ[name]


def without_config(resources: Mapping[str, object]) -> dict[str, dg.ResourceDefinition]:
    """The resources without a config, which anybody could otherwise change in the launchpad of an asset.

    Permission to launch a run must not include lifting the address guard, or access to the host's files.
    """
    return {name: _without_config(resource) for name, resource in resources.items()}


def _without_config(resource: object) -> dg.ResourceDefinition:
    if isinstance(resource, dg.ConfigurableIOManagerFactory):
        return dg.IOManagerDefinition(resource.create_io_manager, config_schema={})
    if isinstance(resource, RecordIOManager):
        return dg.IOManagerDefinition(lambda _: resource, config_schema={})
    return dg.ResourceDefinition(lambda _: resource, config_schema={})


def _record_io_manager(stores: StoresResource) -> dg.ConfigurableIOManagerFactory | RecordIOManager:  # type: ignore[type-arg]
    """The IO manager that passes records (never image bytes) between steps, in the run's own scratch space."""
    address = absolute(stores.staging_address)
    if not is_remote(address):
        return dg.FilesystemIOManager(base_dir=address)
    return RecordIOManager(stores.open_staging)
