"""The rules for names of buckets and containers, by the scheme of the address."""

import re
from ipaddress import IPv4Address

_S3 = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_GOOGLE = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_AZURE = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}|\$root|\$web|\$logs")


def find_bucket_problem(scheme: str, bucket: str) -> str | None:
    """Why a store of this scheme can have no bucket of this name; None if it can.

    Sources: "Bucket naming rules" of Amazon S3 and of Google Cloud Storage, "Naming and referencing containers" of
    Azure.
    """
    match scheme:
        case "s3" if not _S3.fullmatch(bucket) or ".." in bucket or _is_ip_address(bucket):
            return "a bucket's name has 3 to 63 of a-z 0-9 . - and begins and ends with a letter or digit"
        case "gs" if not _GOOGLE.fullmatch(bucket) or ".." in bucket or _has_long_part(bucket):
            return "a bucket's name has 3 to 63 of a-z 0-9 . _ - and begins and ends with a letter or digit"
        case "az" if not _AZURE.fullmatch(bucket) or len(bucket) > 63:
            return "a container's name has 3 to 63 of a-z 0-9 and single hyphens between them"
    return None


def _is_ip_address(name: str) -> bool:
    try:
        IPv4Address(name)
    except ValueError:
        return False
    return True


def _has_long_part(name: str) -> bool:
    return any(len(part) > 63 for part in name.split("."))
