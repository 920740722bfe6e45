"""What to do about errors of a store that a setting or a permission corrects."""

import re
from collections.abc import Callable

CHECK_ACCESS = "check that the bucket or folder exists, and that its credentials allow writing"
"""The advice for an error that has no other."""

CHECK_S3 = "check that the bucket exists, that its credentials allow writing, and AWS_ENDPOINT_URL_S3 for other stores"
"""The same for S3."""

CHECK_LISTING = "check that its credentials allow listing"
"""The advice for a listing that fails."""

IMAGE_ADVICE = "leave out what the store does not have, or grant it (on S3 tags need s3:PutObjectTagging)"
"""The advice for a store that refuses a storage class, metadata or tags."""

_REGION = re.compile(r"<Region>([a-z0-9-]+)</Region>")
_OTHER_REGION = re.compile(
    r"Received redirect without LOCATION|<Code>(?:PermanentRedirect|AuthorizationHeaderMalformed"
    r"|IllegalLocationConstraintException|InvalidRegion)</Code>"
)
_VIRTUAL_HOSTED = re.compile(r"SecondLevelDomainForbidden|virtual[- ]hosted|InvalidPathAccess", re.IGNORECASE)
_CHECKSUM = re.compile(r"x-amz-checksum|x-amz-sdk-checksum|checksum[- _]algorithm|checksum", re.IGNORECASE)
_UNSUPPORTED = re.compile(
    r"status code: (?:400|405|411|501)|<Code>(?:NotImplemented|InvalidArgument|InvalidRequest|UnsupportedOperation)<"
)
_NOT_IMPLEMENTED = re.compile(r"status code: (?:405|501)|<Code>(?:NotImplemented|MethodNotAllowed)<")
_FORBIDDEN = re.compile(r"status code: (?:401|403)|<Code>AccessDenied<")
_DENIED = re.compile(r"<Code>AccessDenied</Code>|AuthorizationPermissionMismatch")


def is_checksum_refused(error: BaseException) -> bool:
    """Whether a store may have refused a write because of its checksum header: try it again without."""
    text = str(error)
    return bool(_CHECKSUM.search(text) or _UNSUPPORTED.search(text))


def is_in_other_region(error: BaseException) -> bool:
    """Whether S3 says that the bucket is in another region than the request was sent to."""
    return bool(_OTHER_REGION.search(str(error)))


def setting_advice(error: BaseException, bucket_region: Callable[[], str | None] = lambda: None) -> str | None:
    """Which setting corrects this error of S3, as the end of a sentence; None if no setting is known to.

    Args:
        bucket_region: asks the store for the bucket's region; called if the error says that it is another one.
    """
    text = str(error)
    if is_in_other_region(error):
        found = _REGION.search(text)
        region = found[1] if found else bucket_region()
        named = f"in another region ({region}); set AWS_REGION={region}" if region else "in another region"
        return f"the bucket is {named}" if region else f"the bucket is {named}; set AWS_REGION to it"
    if _VIRTUAL_HOSTED.search(text):
        return "set AWS_VIRTUAL_HOSTED_STYLE_REQUEST=true, which moves the bucket from the path to the host name"
    if "x-amz-checksum" in text or "x-amz-sdk-checksum" in text:
        return "set AWS_REQUEST_CHECKSUM_CALCULATION=when_required, which leaves the checksum out"
    return None


def advice(error: BaseException, bucket_region: Callable[[], str | None] = lambda: None) -> str:
    """What to do about a destination on S3 that refuses objects with this error, as the end of a sentence."""
    found = setting_advice(error, bucket_region)
    if found is None and _DENIED.search(str(error)):
        return (
            "check that its credentials allow writing; if the bucket's policy demands an ACL or encryption, set "
            "object.acl in the run config, or AWS_SERVER_SIDE_ENCRYPTION and AWS_SSE_KMS_KEY_ID"
        )
    return found or CHECK_S3


def listing_advice(error: BaseException) -> str:
    """What to do about a destination on S3 that takes objects but cannot be listed, as the end of a sentence."""
    text = str(error)
    if _NOT_IMPLEMENTED.search(text):
        return (
            "the store does not implement ListObjectsV2, which imgrelay needs to know what is done; use another store"
        )
    if _FORBIDDEN.search(text):
        return "listing was refused (ListObjectsV2): grant s3:ListBucket on the bucket"
    return setting_advice(error) or CHECK_LISTING
