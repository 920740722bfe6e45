"""How to reach S3: endpoint, region and credentials, as obstore's client takes them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.redact import redact
from imgrelay_dagster.relay.urls import check_url


@dataclass(frozen=True, slots=True)
class S3Settings:
    """How to reach S3. Fields that are None use the client's defaults and the `AWS_*` environment variables.

    Attributes:
        virtual_hosted: the bucket is part of the host name and not of the path.
        checksums: writes carry a checksum, so that the server rejects a body that was damaged on its way.
    """

    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    credential_provider: Callable[[], Any] | None = None
    unsigned: bool = False
    virtual_hosted: bool = False
    checksums: bool = True

    def config(self, bucket: str) -> dict[str, Any]:
        """The settings of a bucket under obstore's names, without the credential provider.

        The endpoint has the name that wins over the variable `AWS_ENDPOINT_URL_S3`, which obstore reads itself.
        Objects are deleted one by one: a DELETE is repeated safely when the connection breaks, and several
        S3-compatible stores lack the request that deletes many.
        """
        named = {
            "aws_endpoint_url_s3": self._endpoint(bucket),
            "region": self.region or "us-east-1",
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
            "session_token": self.session_token,
            "skip_signature": self.unsigned or None,
            "checksum_algorithm": "SHA256" if self.checksums else None,
            "virtual_hosted_style_request": self.virtual_hosted or None,
            "disable_bulk_delete": True,
        }
        return {name: value for name, value in named.items() if value is not None}

    def _endpoint(self, bucket: str) -> str | None:
        """The endpoint; with virtual hosting its host begins with the bucket, which obstore does not add itself."""
        if self.endpoint_url is None or not self.virtual_hosted:
            return self.endpoint_url
        parts = urlsplit(self.endpoint_url)
        host = parts.netloc if parts.netloc.startswith(f"{bucket}.") else f"{bucket}.{parts.netloc}"
        return parts._replace(netloc=host).geturl()


def check_endpoint(endpoint: str) -> None:
    """Reject an endpoint URL that makes obstore's client panic, or whose credentials it would print in every error.

    Raises:
        RelayError: the URL is not valid, or has more than scheme, host, port and path.
    """
    try:
        check_url(endpoint)
    except EntryFailure as failure:
        raise RelayError(f"AWS_ENDPOINT_URL_S3 {redact(endpoint)!r} cannot be used: {failure.detail}") from None
    parts = urlsplit(endpoint)
    if parts.username is not None or parts.query or parts.fragment:
        raise RelayError(
            f"AWS_ENDPOINT_URL_S3 {redact(endpoint)!r} holds more than scheme, host, port and path; credentials "
            "belong in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
