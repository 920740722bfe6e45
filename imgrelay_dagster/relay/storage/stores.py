"""Opening stores by their addresses.

Destination, staging and receipts share one obstore interface. Every request of a store has a time limit.
"""

import functools
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore.store
from obstore.store import LocalStore, ObjectStore, S3Store

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.storage.addresses import absolute, is_remote, is_s3
from imgrelay_dagster.relay.storage.error_text import explain
from imgrelay_dagster.relay.storage.retry_policy import BACKOFF, BULK, RetryPolicy
from imgrelay_dagster.relay.storage.s3_settings import S3Settings, check_endpoint


@functools.lru_cache(maxsize=64)
def open_store(address: str, s3: S3Settings | None = None, policy: RetryPolicy = BULK) -> ObjectStore:
    """The store at `address`. Each process has one store object for each address and policy.

    A missing local folder is created. No request is sent to a remote store yet.

    Raises:
        RelayError: the address cannot be opened as a store.
    """
    try:
        if not is_remote(address):
            if Path(absolute(address)).is_file():
                raise RelayError(f"{address!r} is a file where a folder is needed; name another folder")
            return LocalStore(absolute(address), mkdir=True)
        options: dict[str, Any] = {
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
        if is_s3(address):
            if not urlsplit(address).netloc:
                raise RelayError(f"store address {address!r} names no bucket; write s3://bucket/prefix")
            s3 = s3 or S3Settings()
            if s3.endpoint_url is not None:
                check_endpoint(s3.endpoint_url)
            options["config"] = s3.config()
            if s3.credential_provider is not None:
                options["credential_provider"] = s3.credential_provider
            # Not by `from_url`, which would parse the prefix as a URL: `#` ends it, `%23` becomes `#`, `..` goes up.
            bucket, _, prefix = absolute(address).removeprefix("s3://").partition("/")
            return S3Store(bucket, prefix=prefix or None, **options)
        return obstore.store.from_url(address, **options)
    except (obstore.exceptions.BaseError, ValueError, OSError) as error:
        raise RelayError(f"cannot open {address!r} as a store: {explain(error)}") from error


def folder_of(store: ObjectStore) -> Path | None:
    """The folder of a store on the local disk; None for any other store."""
    return Path(str(store.prefix)) if isinstance(store, LocalStore) and store.prefix else None
