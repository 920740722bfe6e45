"""How stores are reached, from the environment."""

import base64
import json
from pathlib import Path

import pytest

from imgrelay_dagster.config import google_access as google_module
from imgrelay_dagster.config.azure_access import azure_access
from imgrelay_dagster.config.google_access import google_access
from imgrelay_dagster.config.s3_access import s3_resource
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.storage.s3_settings import S3Settings
from imgrelay_dagster.relay.storage.stores import open_store

KEY = base64.b64encode(b"key").decode()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"AZURE_STORAGE_ACCOUNT": "acc", "AZURE_STORAGE_KEY": KEY}, {"account_name": "acc", "account_key": KEY}),
        (
            {"AZURE_STORAGE_ACCOUNT_NAME": "acc", "AZURE_STORAGE_SAS_TOKEN": "?sv=1&sig=x"},
            {"account_name": "acc", "sas_key": "sv=1&sig=x"},
        ),
        (
            {"AZURE_STORAGE_CONNECTION_STRING": f"AccountName=acc;AccountKey={KEY};EndpointSuffix=core.example"},
            {"account_name": "acc", "account_key": KEY, "endpoint": "https://acc.blob.core.example"},
        ),
        (
            {"AZURE_STORAGE_CONNECTION_STRING": "BlobEndpoint=https://acc.blob.example/;SharedAccessSignature=sv=1"},
            {"account_name": "acc", "endpoint": "https://acc.blob.example/", "sas_key": "sv=1"},
        ),
        (
            {"AZURE_STORAGE_CONNECTION_STRING": "UseDevelopmentStorage=true"},
            {"account_name": "devstoreaccount1", "use_emulator": "true"},
        ),
        (
            {
                "AZURE_STORAGE_ACCOUNT": "acc",
                "AZURE_CLIENT_ID": "i",
                "AZURE_CLIENT_SECRET": "s",
                "AZURE_TENANT_ID": "t",
            },
            {"account_name": "acc"},
        ),
    ],
)
def test_azure_is_reached_as_its_own_tools_reach_it(environment: dict[str, str], expected: dict[str, str]):
    settings = azure_access(environment)
    assert dict(settings.config) == expected
    repr(open_store("az://images/a#b", settings))  # panics where the account's name is not passed on


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "set AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY"),
        ({"AZURE_STORAGE_ACCOUNT": "acc"}, "no credentials found for the Azure storage account 'acc'"),
        ({"AZURE_STORAGE_CONNECTION_STRING": "secret"}, "is not a list of Name=value"),
        ({"AZURE_STORAGE_CONNECTION_STRING": "AccountKey=secret"}, "has no AccountName"),
    ],
)
def test_missing_azure_credentials_are_named(environment: dict[str, str], message: str):
    with pytest.raises(RelayError, match=message) as caught:
        azure_access(environment)
    assert "secret" not in str(caught.value)
    assert "169.254" not in str(caught.value)


def test_google_credentials_come_from_a_file_a_key_or_a_token(tmp_path: Path):
    for kind in ("service_account", "authorized_user"):
        path = tmp_path / f"{kind}.json"
        path.write_text(json.dumps({"type": kind}))
        found = google_access({"GOOGLE_APPLICATION_CREDENTIALS": str(path)})
        assert dict(found.config) == {"application_credentials": str(path)}
        assert found.credential_provider is None
    assert dict(google_access({"GOOGLE_BEARER_TOKEN": "t"}).config) == {"bearer_token": "t"}
    assert dict(google_access({"STORAGE_EMULATOR_HOST": "localhost:1"}).config) == {
        "base_url": "http://localhost:1",
        "skip_signature": "true",
    }


USER = {"type": "authorized_user", "client_id": "a", "client_secret": "b", "refresh_token": "c"}
POOL = {
    "type": "external_account",
    "audience": "a",
    "subject_token_type": "t",
    "credential_source": {"file": "token", "format": {"type": "text"}},
    "token_url": "https://sts.googleapis.com/v1/token",
}
IMPERSONATED = {
    "type": "impersonated_service_account",
    "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@b"
    ".iam.gserviceaccount.com:generateAccessToken",
    "source_credentials": USER,
}


@pytest.mark.parametrize("content", [POOL, IMPERSONATED], ids=lambda content: content["type"])
def test_workload_identity_pools_and_impersonation_go_through_google_auth(content: dict[str, object], tmp_path: Path):
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps(content))
    assert google_access({"GOOGLE_APPLICATION_CREDENTIALS": str(path)}).credential_provider is not None


def test_missing_google_credentials_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(google_module, "_is_on_google_cloud", lambda _: False)
    with pytest.raises(RelayError, match="set GOOGLE_APPLICATION_CREDENTIALS"):
        google_access({"HOME": str(tmp_path)})
    with pytest.raises(RelayError, match="which is not a file"):
        google_access({"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "gone.json")})


def test_fips_and_dual_stack_have_endpoints_of_their_own():
    names = {"AWS_REGION": "eu-west-1", "AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true"}
    assert s3_resource(names).endpoint_url == "https://s3-fips.dualstack.eu-west-1.amazonaws.com"
    assert s3_resource({"AWS_REGION": "eu-west-1"}).endpoint_url is None
    assert s3_resource({**names, "AWS_ENDPOINT_URL_S3": "http://h"}).endpoint_url == "http://h"


def test_a_virtual_hosted_bucket_is_in_the_host_name():
    settings = S3Settings(endpoint_url="https://oss.example", virtual_hosted=True)
    assert settings.config("images")["aws_endpoint_url_s3"] == "https://images.oss.example"
    named = S3Settings(endpoint_url="https://images.oss.example", virtual_hosted=True)
    assert named.config("images")["aws_endpoint_url_s3"] == "https://images.oss.example"


def test_checksums_can_be_left_out():
    assert "checksum_algorithm" not in S3Settings(checksums=False).config("images")
    assert S3Settings().config("images")["checksum_algorithm"] == "SHA256"
