"""Opening stores by their addresses.

Destination, staging and receipts share one obstore interface. Every request of a store has a time limit.
"""

import functools
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore.exceptions
import obstore.store
from obstore.store import AzureStore, GCSStore, LocalStore, ObjectStore, S3Store

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.storage.acl_store import S3StoreWithAcl
from imgrelay_dagster.relay.storage.addresses import absolute, is_remote, scheme_of
from imgrelay_dagster.relay.storage.cloud_settings import AzureSettings, GoogleSettings
from imgrelay_dagster.relay.storage.error_text import explain
from imgrelay_dagster.relay.storage.retry_policy import BACKOFF, BULK, RetryPolicy
from imgrelay_dagster.relay.storage.s3_settings import S3Settings, check_endpoint
from imgrelay_dagster.relay.storage.store_options import DEFAULT_OPTIONS, StoreOptions

Access = S3Settings | GoogleSettings | AzureSettings
"""How to reach a remote store."""

_VARIABLES = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
"""How the variables begin that say how to reach the stores of a scheme."""


@functools.lru_cache(maxsize=64)
def open_store(
    address: str,
    access: Access | None = None,
    policy: RetryPolicy = BULK,
    options: StoreOptions = DEFAULT_OPTIONS,
) -> ObjectStore:
    """The store at `address`. Each process has one store object for each address, policy and options.

    A missing local folder is created. No request is sent to a remote store yet.

    Args:
        access: how to reach a remote store, for the scheme of the address; None uses the environment alone.

    Raises:
        RelayError: the address cannot be opened as a store.
    """
    try:
        if not is_remote(address):
            if Path(absolute(address)).is_file():
                raise RelayError(f"{address!r} is a file where a folder is needed; name another folder")
            return LocalStore(absolute(address), mkdir=True)
        return _open_remote(absolute(address), access, policy, options)
    except (obstore.exceptions.BaseError, ValueError, OSError) as error:
        setting = f"; check the {_VARIABLES[scheme]}* variables" if (scheme := scheme_of(address)) in _VARIABLES else ""
        raise RelayError(f"cannot open {address!r} as a store: {explain(error)}{setting}") from error


def _open_remote(address: str, access: Access | None, policy: RetryPolicy, options: StoreOptions) -> ObjectStore:
    """Open a bucket.

    Not by `from_url`, which would parse the prefix as a URL: `#` ends it, `%23` becomes `#`, `..` goes up.
    """
    scheme = scheme_of(address)
    bucket, _, path = address.partition("://")[2].partition("/")
    prefix = path or None
    if not bucket and scheme in ("s3", "gs", "az"):
        raise RelayError(f"store address {address!r} names no bucket; write {scheme}://bucket/prefix")
    arguments = _client_arguments(policy)
    match scheme, access:
        case "s3", S3Settings() | None:
            s3 = access or S3Settings()
            if s3.endpoint_url is not None:
                check_endpoint(s3.endpoint_url)
            if s3.credential_provider is not None:
                arguments["credential_provider"] = s3.credential_provider
            config = s3.config(bucket)
            if not options.checksums:
                config.pop("checksum_algorithm", None)
            arguments |= {"prefix": prefix, "config": config}
            return (
                S3StoreWithAcl.open(options.acl, bucket, **arguments) if options.acl else S3Store(bucket, **arguments)
            )
        case "gs", GoogleSettings() | None:
            google = access or GoogleSettings()
            if google.credential_provider is not None:
                arguments["credential_provider"] = google.credential_provider
            if options.acl is not None:
                arguments["client_options"]["default_headers"] = {"x-goog-acl": options.acl}
            return GCSStore(bucket, prefix=prefix, config=dict(google.config), **arguments)  # type: ignore[arg-type]
        case "az", AzureSettings() | None:
            azure = access or AzureSettings()
            return AzureStore(bucket, prefix=prefix, config=dict(azure.config), **arguments)  # type: ignore[arg-type]
    return obstore.store.from_url(address, **arguments)


def _client_arguments(policy: RetryPolicy) -> dict[str, Any]:
    return {
        "client_options": {
            "timeout": timedelta(seconds=policy.timeout),
            "connect_timeout": timedelta(seconds=policy.connect_timeout),
            "allow_http": True,
        },
        "retry_config": {
            "max_retries": policy.retries,
            "retry_timeout": timedelta(seconds=policy.retry_timeout),
            "backoff": BACKOFF,
        },
    }


def folder_of(store: ObjectStore) -> Path | None:
    """The folder of a store on the local disk; None for any other store."""
    return Path(str(store.prefix)) if isinstance(store, LocalStore) and store.prefix else None
