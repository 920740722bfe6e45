"""How to reach Azure Blob Storage, from the environment: the variables of Azure's own tools and of obstore."""

import os
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.storage.cloud_settings import AzureSettings
from imgrelay_dagster.relay.storage.listing import ListedObject
from imgrelay_dagster.relay.storage.rest_listing import list_azure

EMULATOR_URL = "http://127.0.0.1:10000"
EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # nosec B105
"""The endpoint and the key of every Azurite; they are public (learn.microsoft.com, "Azurite")."""

EMULATOR_ACCOUNT = "devstoreaccount1"
"""The account of Azurite, the emulator of Azure's blob storage."""

_ACCOUNT = ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT")
_KEY = ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_MASTER_KEY", "AZURE_STORAGE_KEY")
_SAS = ("AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY")
_CREDENTIALS = (
    ("AZURE_STORAGE_TOKEN",),
    ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID"),
    ("AZURE_STORAGE_CLIENT_ID", "AZURE_STORAGE_CLIENT_SECRET", "AZURE_STORAGE_TENANT_ID"),
    ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"),
    ("AZURE_IDENTITY_ENDPOINT",),
    ("IDENTITY_ENDPOINT",),
    ("AZURE_MSI_ENDPOINT",),
    ("AZURE_USE_AZURE_CLI",),
    ("AZURE_SKIP_SIGNATURE",),
)
"""Groups of variables from which obstore makes credentials itself; one complete group is enough."""

_CONNECTION_FIELDS = {
    "accountname": "account_name",
    "accountkey": "account_key",
    "blobendpoint": "endpoint",
    "sharedaccesssignature": "sas_key",
}
"""Fields of a connection string, each with obstore's name for it."""


def azure_access(environment: Mapping[str, str] = os.environ) -> AzureSettings:
    """How to reach Azure Blob Storage.

    The account's name is always passed on: with a name from the environment alone, showing the store panics in obstore.

    Raises:
        RelayError: there is no account, or there are no credentials. It says what to set.
    """
    config: dict[str, str] = {}
    text = environment.get("AZURE_STORAGE_CONNECTION_STRING")
    if text:
        config |= _parse_connection_string(text)
    if config.get("use_emulator") or environment.get("AZURE_STORAGE_USE_EMULATOR", "").lower() in ("1", "true", "yes"):
        config.setdefault("account_name", EMULATOR_ACCOUNT)
        config["use_emulator"] = "true"
        return AzureSettings(tuple(sorted(config.items())))
    for names, setting in ((_ACCOUNT, "account_name"), (_KEY, "account_key"), (_SAS, "sas_key")):
        given = next((value for name in names if (value := environment.get(name))), None)
        if given is not None:
            config.setdefault(setting, given.removeprefix("?"))
    if "account_name" not in config:
        raise RelayError(
            "no Azure storage account is set; set AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY, or "
            "AZURE_STORAGE_CONNECTION_STRING"
        )
    has_credentials = {"account_key", "sas_key"} & config.keys() or any(
        all(environment.get(name) for name in group) for group in _CREDENTIALS
    )
    if not has_credentials:
        raise RelayError(
            f"no credentials found for the Azure storage account {config['account_name']!r}; set AZURE_STORAGE_KEY, "
            "AZURE_STORAGE_SAS_TOKEN, or AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET (or "
            "AZURE_FEDERATED_TOKEN_FILE)"
        )
    return AzureSettings(tuple(sorted(config.items())))


def _parse_connection_string(text: str) -> dict[str, str]:
    """The settings in a connection string, such as `AccountName=a;AccountKey=k;EndpointSuffix=core.windows.net`.

    Raises:
        RelayError: it is not one. The message quotes nothing of it.
    """
    fields: dict[str, str] = {}
    for part in filter(None, text.strip().split(";")):
        name, equals, value = part.partition("=")
        if not equals:
            raise RelayError("AZURE_STORAGE_CONNECTION_STRING is not a list of Name=value separated by semicolons")
        fields[name.strip().lower()] = value.strip()
    if fields.get("usedevelopmentstorage", "").lower() == "true":
        return {"use_emulator": "true"}
    config = {setting: fields[name] for name, setting in _CONNECTION_FIELDS.items() if fields.get(name)}
    suffix = fields.get("endpointsuffix")
    if suffix and "endpoint" not in config and "account_name" in config:
        scheme = fields.get("defaultendpointsprotocol", "https")
        config["endpoint"] = f"{scheme}://{config['account_name']}.blob.{suffix}"
    if "account_name" not in config and "endpoint" in config:  # a connection string with a signature names only this
        config["account_name"] = (urlsplit(config["endpoint"]).hostname or "").partition(".")[0]
    if not config.get("account_name"):
        raise RelayError("AZURE_STORAGE_CONNECTION_STRING has no AccountName; copy the whole string from the portal")
    return config


def list_azure_container(address: str, environment: Mapping[str, str] = os.environ) -> Iterator[ListedObject]:
    """List all objects below an address over the REST API, also those whose names obstore rejects.

    Raises:
        RelayError: it cannot be listed, or the credentials are neither a key nor a shared access signature.
    """
    config = dict(azure_access(environment).config)
    account, key, sas = config["account_name"], config.get("account_key"), config.get("sas_key")
    if "use_emulator" in config:
        url = environment.get("AZURITE_BLOB_STORAGE_URL") or EMULATOR_URL
        return list_azure(address, f"{url.rstrip('/')}/{account}", account, EMULATOR_KEY, None)
    if key is None and sas is None and not environment.get("AZURE_SKIP_SIGNATURE"):
        raise RelayError(
            "a name in the container has an empty segment or a control character; to list it, set AZURE_STORAGE_KEY "
            "or AZURE_STORAGE_SAS_TOKEN"
        )
    return list_azure(address, config.get("endpoint") or f"https://{account}.blob.core.windows.net", account, key, sas)
