"""The resources of all ops: HTTP client, template folder, stores, IO manager. The one place where they are built."""

import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import boto3.session
import dagster as dg
from botocore.exceptions import BotoCoreError, ClientError
from dagster._utils.cached_method import cached_method
from dagster_aws.s3 import S3PickleIOManager, S3Resource
from dagster_aws.s3.io_manager import PickledObjectS3IOManager
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.exceptions import BaseError
from obstore.store import ObjectStore
from pydantic import Field
from upath import UPath

from imgrelay_dagster.config import environment
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.fetch.address_guard import AddressGuard
from imgrelay_dagster.relay.fetch.downloader import Downloader, Limits
from imgrelay_dagster.relay.imaging.template_folder import SHIPPED_FOLDER, TemplateFolder
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.storage.addresses import absolute, is_remote, is_s3
from imgrelay_dagster.relay.storage.error_text import explain
from imgrelay_dagster.relay.storage.listing import ListedObject
from imgrelay_dagster.relay.storage.retry_policy import BULK, INTERACTIVE, RetryPolicy
from imgrelay_dagster.relay.storage.s3_settings import S3Settings
from imgrelay_dagster.relay.storage.stores import open_store


class StoresResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Opens destination, receipts, inbox and staging, with the S3 settings of dagster-aws's `S3Resource`."""

    s3: dg.ResourceDependency[S3Resource]
    staging_address: str = Field(description="Scratch space: a local folder, or s3:// for several hosts.")

    def open(self, address: str, policy: RetryPolicy = BULK) -> ObjectStore:
        """The store at this address.

        Args:
            policy: time limits and retries. `BULK` for images and results, `INTERACTIVE` for side tasks or once a run
                has ended, `PROBE` for the first request, which finds out whether the store answers at all.
        """
        address = absolute(address)
        return open_store(address, _s3_settings(self.s3) if is_s3(address) else None, policy)

    def staging(self, run_id: str) -> Staging:
        """Open the scratch space of one run.

        Raises:
            RelayError: it cannot be opened.
        """
        return Staging(self._open_staging(BULK), run_id, self._open_staging(INTERACTIVE))

    def brief_staging(self, run_id: str) -> Staging:
        """Open the scratch space of a run that has ended, with short time limits."""
        return Staging(self._open_staging(INTERACTIVE), run_id)

    def staged_runs(self) -> list[str]:
        """The IDs of the runs that have scratch files.

        Raises:
            RelayError: the staging space cannot be reached.
        """
        try:
            found = self.open(self.staging_address, INTERACTIVE).list_with_delimiter()
        except (BaseError, OSError) as error:
            raise RelayError(f"staging {self.staging_address!r} cannot be listed: {explain(error)}") from error
        return sorted(prefix.rstrip("/") for prefix in found["common_prefixes"])

    def list_any(self, address: str) -> Iterator[ListedObject]:
        """List all objects below an S3 address with boto3, also those whose keys obstore refuses.

        Raises:
            RelayError: it cannot be listed.
        """
        bucket, _, prefix = absolute(address).removeprefix("s3://").partition("/")
        below = f"{prefix}/" if prefix else ""
        pages = self.s3.get_client().get_paginator("list_objects_v2")
        try:
            for page in pages.paginate(Bucket=bucket, Prefix=below):
                for item in page.get("Contents", []):
                    yield ListedObject(
                        item["Key"].removeprefix(below), item["Size"], item["ETag"], item["LastModified"]
                    )
        except (BotoCoreError, ClientError) as error:
            raise RelayError(f"{address!r} cannot be listed: {error}") from error

    def _open_staging(self, policy: RetryPolicy) -> ObjectStore:
        try:
            return self.open(self.staging_address, policy)
        except RelayError as error:
            raise RelayError(f"staging: {error}; IMGRELAY_STAGING sets it") from error


class TemplatesResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The folder of template pictures, by default the folder shipped with the package."""

    folder: str | None = Field(None, description="Folder of template pictures.")
    also: str | None = Field(None, description="A template outside the folder, given to the command by its path.")

    def open(self) -> TemplateFolder:
        """The templates of the folder."""
        return TemplateFolder(
            Path(self.folder) if self.folder else SHIPPED_FOLDER, Path(self.also) if self.also else None
        )


class HttpResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The HTTP client that downloads images, behind the address guard."""

    allowed_hosts: list[str] = Field([], description="Hosts and networks exempt from the address guard.")

    def guard(self) -> AddressGuard:
        """The address guard.

        Raises:
            RelayError: an exempt host is not valid.
        """
        return AddressGuard(self.allowed_hosts)

    def downloader(self, limits: Limits, stop: threading.Event) -> Downloader:
        """A client with its own connection pool. The caller closes it."""
        return Downloader(limits, self.guard(), stop=stop)


def staging_address() -> str:
    """The address of scratch space: `IMGRELAY_STAGING`, else the folder `staging` of the Dagster instance."""
    return environment.STAGING.get() or str(Path(os.environ.get("DAGSTER_HOME") or ".") / "staging")


def build_resources() -> dict[str, object]:
    """Build all resources from the environment."""
    _remove_empty_aws_variables()
    s3 = S3Resource(
        endpoint_url=os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"),
        region_name=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
    )
    hosts = list(environment.ALLOWED_HOSTS.get())
    return {
        "stores": StoresResource(s3=s3, staging_address=staging_address()),
        "templates": TemplatesResource(
            folder=environment.TEMPLATES.get(),
            also=environment.ARGUMENT_TEMPLATE.get(),
        ),
        "http": HttpResource(allowed_hosts=hosts),
        "io_manager": _record_io_manager(s3),
    }


def _remove_empty_aws_variables() -> None:
    """Remove AWS_* variables that are empty, as an .env file may leave them: some make obstore's client panic."""
    for name in [name for name, value in os.environ.items() if name.startswith("AWS_") and not value]:
        del os.environ[name]


def without_config(resources: Mapping[str, object]) -> dict[str, dg.ResourceDefinition]:
    """The resources without a config, which anybody could otherwise change in the launchpad of an asset.

    Permission to launch a run must not include lifting the address guard, or access to the host's files.
    """
    return {name: _without_config(resource) for name, resource in resources.items()}


def _without_config(resource: object) -> dg.ResourceDefinition:
    if isinstance(resource, dg.ConfigurableIOManagerFactory):
        return dg.IOManagerDefinition(resource.create_io_manager, config_schema={})
    return dg.ResourceDefinition(lambda _: resource, config_schema={})


def _record_io_manager(s3: S3Resource) -> dg.ConfigurableIOManagerFactory:  # type: ignore[type-arg]
    """The IO manager that passes records (never image bytes) between steps, in the run's own scratch space."""
    address = absolute(staging_address())
    if not is_remote(address):
        return dg.FilesystemIOManager(base_dir=address)
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    return RunFolderIOManager(s3_resource=s3, s3_bucket=bucket, s3_prefix=prefix)


class RunFolderIOManager(S3PickleIOManager):
    """dagster-aws's IO manager, with a run's records in its own scratch space, so that they are removed with it."""

    @cached_method
    def inner_io_manager(self) -> PickledObjectS3IOManager:
        """The manager that does the work."""
        return _RunFolderPickleIOManager(self.s3_bucket, self.s3_resource.get_client(), self.s3_prefix)


class _RunFolderPickleIOManager(PickledObjectS3IOManager):
    def get_op_output_relative_path(self, context: dg.InputContext | dg.OutputContext) -> UPath:
        storage, *below = super().get_op_output_relative_path(context).parts
        assert storage == "storage"
        return UPath(*below)


_SETTINGS: dict[tuple[object, ...], S3Settings] = {}


def _s3_settings(s3: S3Resource) -> S3Settings:
    """dagster-aws's S3 settings in obstore's form, one object per process for the same values.

    Credentials come from boto3's own chain (environment, profile, instance role), which renews them.
    """
    given = (s3.endpoint_url, s3.region_name, s3.aws_access_key_id, s3.aws_secret_access_key, s3.aws_session_token)
    identity = (*given, s3.profile_name, s3.use_unsigned_session)
    if identity not in _SETTINGS:
        _SETTINGS[identity] = _make_s3_settings(s3)
    return _SETTINGS[identity]


spare_sessions: list[boto3.session.Session] = []
"""Unused boto3 sessions. A session that is made before a fork need not be made in each forked process."""


def _take_session(profile: str | None) -> boto3.session.Session:
    if profile is None and spare_sessions:
        return spare_sessions.pop()
    return boto3.session.Session(profile_name=profile)


def _make_s3_settings(s3: S3Resource) -> S3Settings:
    settings = S3Settings(
        endpoint_url=s3.endpoint_url,
        region=s3.region_name,
        access_key_id=s3.aws_access_key_id,
        secret_access_key=s3.aws_secret_access_key,
        session_token=s3.aws_session_token,
        unsigned=s3.use_unsigned_session,
    )
    if settings.access_key_id or settings.unsigned:
        return settings
    session = _take_session(s3.profile_name)
    if session.get_credentials() is None:
        raise RelayError(
            "no S3 credentials found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run "
            "where an instance role gives them"
        )
    provider = Boto3CredentialProvider(session)
    return replace(settings, credential_provider=provider, region=settings.region or session.region_name)
