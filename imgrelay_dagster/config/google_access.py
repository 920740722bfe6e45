"""How to reach Google Cloud Storage, from the environment: the variables of Google's own tools and of obstore."""

import http.client
import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.storage.cloud_settings import GoogleSettings
from imgrelay_dagster.relay.storage.listing import ListedObject
from imgrelay_dagster.relay.storage.rest_listing import GOOGLE_URL, list_google

SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"

_VARIABLES = {
    "GOOGLE_SERVICE_ACCOUNT": "service_account",
    "GOOGLE_SERVICE_ACCOUNT_PATH": "service_account",
    "GOOGLE_SERVICE_ACCOUNT_KEY": "service_account_key",
    "GOOGLE_BEARER_TOKEN": "bearer_token",  # nosec B105 - a name, not a token
    "GOOGLE_SKIP_SIGNATURE": "skip_signature",
    "GOOGLE_BASE_URL": "base_url",
}
"""obstore's variables, each with the name of its setting."""

_NATIVE_KINDS = ("service_account", "authorized_user", None)
"""Kinds of credential files that obstore reads itself; None: a file without a kind, as emulators use."""

_METADATA_TIMEOUT = 0.5
"""Seconds in which a machine of Google's answers that it is one."""


def google_access(environment: Mapping[str, str] = os.environ) -> GoogleSettings:
    """How to reach Google Cloud Storage.

    Raises:
        RelayError: there are no credentials, or they cannot be read. It says what to set.
    """
    config = {setting: value for name, setting in _VARIABLES.items() if (value := environment.get(name))}
    emulator = environment.get("STORAGE_EMULATOR_HOST")
    if emulator and "base_url" not in config:
        config["base_url"] = emulator if "://" in emulator else f"http://{emulator}"
        config.setdefault("skip_signature", "true")
    if {"service_account", "service_account_key", "bearer_token", "skip_signature"} & config.keys():
        return GoogleSettings(tuple(sorted(config.items())))
    path = _credential_file(environment)
    if path is not None:
        if _kind(path) in _NATIVE_KINDS:
            config["application_credentials"] = str(path)
            return GoogleSettings(tuple(sorted(config.items())))
        return GoogleSettings(tuple(sorted(config.items())), _provider(path))
    if not _is_on_google_cloud(environment.get("GCE_METADATA_HOST", "metadata.google.internal")):
        raise RelayError(
            "no Google credentials found; set GOOGLE_APPLICATION_CREDENTIALS to a credentials file, or "
            "GOOGLE_SERVICE_ACCOUNT_KEY to a service account's key, or run `gcloud auth application-default login`"
        )
    return GoogleSettings(tuple(sorted(config.items())))


def _credential_file(environment: Mapping[str, str]) -> Path | None:
    """The file of the application default credentials, where Google's tools look for it.

    Raises:
        RelayError: GOOGLE_APPLICATION_CREDENTIALS names a file that does not exist.
    """
    named = environment.get("GOOGLE_APPLICATION_CREDENTIALS")
    if named:
        if not Path(named).is_file():
            raise RelayError(f"GOOGLE_APPLICATION_CREDENTIALS names {named!r}, which is not a file")
        return Path(named)
    folder = environment.get("CLOUDSDK_CONFIG") or f"{environment.get('HOME', '')}/.config/gcloud"
    path = Path(folder) / "application_default_credentials.json"
    return path if path.is_file() else None


def _kind(path: Path) -> str | None:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RelayError(f"the Google credentials file {str(path)!r} cannot be read; is it JSON?") from error
    return content.get("type") if isinstance(content, dict) else None


def _provider(path: Path) -> Callable[[], Any]:
    """A provider of tokens for a workload identity pool or an impersonated service account, by google-auth."""
    try:
        import google.auth  # noqa: PLC0415 - an optional extra
        from obstore.auth.google import GoogleCredentialProvider  # noqa: PLC0415
    except ImportError as error:
        raise RelayError(
            f"the Google credentials in {str(path)!r} need google-auth: pip install 'imgrelay-dagster[google]'"
        ) from error
    try:
        # google-auth warns of files from untrusted users; this one is named by the host's own environment.
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            credentials, _ = google.auth.load_credentials_from_file(str(path), scopes=[SCOPE])  # type: ignore[no-untyped-call]
    except (google.auth.exceptions.GoogleAuthError, ValueError) as error:
        raise RelayError(f"the Google credentials in {str(path)!r} cannot be used: {error}") from error
    return GoogleCredentialProvider(credentials)


def _is_on_google_cloud(host: str) -> bool:
    """Whether this machine has Google's metadata service, which gives it credentials."""
    connection = http.client.HTTPConnection(host, timeout=_METADATA_TIMEOUT)
    try:
        connection.request("GET", "/", headers={"Metadata-Flavor": "Google"})
        return connection.getresponse().getheader("Metadata-Flavor") == "Google"
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def list_google_bucket(address: str) -> Iterator[ListedObject]:
    """List all objects below an address over the REST API, also those whose names obstore rejects.

    Raises:
        RelayError: it cannot be listed, or these credentials need google-auth for it.
    """
    settings = google_access()
    config = dict(settings.config)
    return list_google(address, _token(settings, config), config.get("base_url", GOOGLE_URL))


def _token(settings: GoogleSettings, config: Mapping[str, str]) -> str | None:
    if "skip_signature" in config:
        return None
    if "bearer_token" in config:
        return config["bearer_token"]
    path = config.get("application_credentials") or config.get("service_account")
    provider = settings.credential_provider or (_provider(Path(path)) if path else None)
    if provider is None:
        raise RelayError(
            "a name in the bucket has an empty segment or a control character; to list it, give the credentials as a "
            "file, in GOOGLE_APPLICATION_CREDENTIALS"
        )
    return str(provider()["token"])
