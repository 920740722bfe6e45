"""How to reach S3: dagster-aws's settings, and the variables of AWS's own tools, in obstore's form."""

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import boto3.session
from dagster_aws.s3 import S3Resource
from obstore.auth.boto3 import Boto3CredentialProvider

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.storage.s3_settings import S3Settings

CREDENTIALS_TTL = timedelta(minutes=6)
"""How long obstore may use what boto3's session gave it. obstore asks again five minutes before the end, so once a
minute; the session renews temporary credentials before their own expiry."""

_TRUE = ("1", "true", "yes", "on")

_settings: dict[tuple[object, ...], S3Settings] = {}

spare_sessions: list[boto3.session.Session] = []
"""Unused boto3 sessions. A session that is made before a fork need not be made in each forked process."""


def s3_resource(environment: Mapping[str, str] = os.environ) -> S3Resource:
    """dagster-aws's resource with endpoint and region from the environment."""
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    return S3Resource(endpoint_url=endpoint or _special_endpoint(environment, region), region_name=region)


def _special_endpoint(environment: Mapping[str, str], region: str | None) -> str | None:
    """The endpoint of S3 for FIPS 140 or for IPv6, where the variables of AWS's tools ask for one."""
    fips = "-fips" if environment.get("AWS_USE_FIPS_ENDPOINT", "").lower() in _TRUE else ""
    dual_stack = ".dualstack" if environment.get("AWS_USE_DUALSTACK_ENDPOINT", "").lower() in _TRUE else ""
    return f"https://s3{fips}{dual_stack}.{region or 'us-east-1'}.amazonaws.com" if fips or dual_stack else None


def s3_access(s3: S3Resource) -> S3Settings:
    """How to reach S3, one object per process for the same values.

    Credentials come from boto3's own chain (environment, profile, instance role), which renews them.

    Raises:
        RelayError: there are no credentials.
    """
    given = (s3.endpoint_url, s3.region_name, s3.aws_access_key_id, s3.aws_secret_access_key, s3.aws_session_token)
    variables = _virtual_hosted(), _checksums()
    identity = (*given, s3.profile_name, s3.use_unsigned_session, *variables)
    if identity not in _settings:
        _settings[identity] = _make_settings(s3)
    return _settings[identity]


def _virtual_hosted() -> bool:
    return os.environ.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "").lower() in _TRUE


def requester_pays() -> bool:
    """Whether requests say that the requester pays for them. obstore reads the variable itself."""
    return os.environ.get("AWS_REQUEST_PAYER", "").lower() in _TRUE


def _checksums() -> bool:
    return os.environ.get("AWS_REQUEST_CHECKSUM_CALCULATION", "").lower() != "when_required"


def _take_session(profile: str | None) -> boto3.session.Session:
    if profile is None and spare_sessions:
        return spare_sessions.pop()
    return boto3.session.Session(profile_name=profile)


def _make_settings(s3: S3Resource) -> S3Settings:
    settings = S3Settings(
        endpoint_url=s3.endpoint_url,
        region=s3.region_name,
        access_key_id=s3.aws_access_key_id,
        secret_access_key=s3.aws_secret_access_key,
        session_token=s3.aws_session_token,
        unsigned=s3.use_unsigned_session,
        virtual_hosted=_virtual_hosted(),
        checksums=_checksums(),
    )
    if settings.access_key_id or settings.unsigned:
        return settings
    session = _take_session(s3.profile_name)
    if session.get_credentials() is None:
        raise RelayError(
            "no S3 credentials found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run "
            "where an instance role gives them"
        )
    provider = Boto3CredentialProvider(session, ttl=CREDENTIALS_TTL)
    return replace(settings, credential_provider=provider, region=settings.region or session.region_name)
