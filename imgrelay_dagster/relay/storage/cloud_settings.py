"""How to reach Google Cloud Storage and Azure Blob Storage, as obstore's client takes it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class GoogleSettings:
    """How to reach Google Cloud Storage.

    Attributes:
        config: obstore's settings of the store, by name.
        credential_provider: returns a token, for kinds of credentials that obstore does not read itself.
    """

    config: tuple[tuple[str, str], ...] = ()
    credential_provider: Callable[[], Any] | None = None


@dataclass(frozen=True, slots=True)
class AzureSettings:
    """How to reach Azure Blob Storage. `config`: obstore's settings of the store, by name."""

    config: tuple[tuple[str, str], ...] = ()
