"""The files of a template folder in a store."""

from collections.abc import Callable

from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from imgrelay_dagster.relay.errors import RelayError, StoreFailure
from imgrelay_dagster.relay.storage.error_text import explain

MAX_BYTES = 256 * 1024 * 1024
"""Bytes of the largest file that is read."""


class StoredFiles:
    """The files directly below an address of a store.

    Args:
        address: such as `s3://bucket/templates`.
        open_store: opens the store there, when it is first needed.

    Raises:
        StoreFailure: from any call, when the store fails.
    """

    def __init__(self, address: str, open_store: Callable[[str], ObjectStore]) -> None:
        self._address = address
        self._open = open_store

    def __str__(self) -> str:
        return self._address

    def names(self) -> list[str]:
        """The names of the files, sorted."""
        try:
            found = self._open(self._address).list_with_delimiter()["objects"]
        except (BaseError, OSError) as error:
            raise self._failure(error) from error
        return sorted(meta["path"] for meta in found)

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is none of this name.

        Raises:
            RelayError: it is too large for a template.
        """
        if name in ("", ".", "..") or "/" in name:
            return None
        try:
            found = self._open(self._address).get(name)
            if found.meta["size"] > MAX_BYTES:
                raise RelayError(
                    f"template {name!r} in {self._address} has {found.meta['size']:,} bytes; at most {MAX_BYTES:,} are "
                    "allowed"
                )
            return bytes(found.bytes())
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise self._failure(error) from error

    def _failure(self, error: BaseException) -> StoreFailure:
        return StoreFailure(
            f"template folder {self._address!r} cannot be read: {explain(error)}; IMGRELAY_TEMPLATES sets it"
        )
