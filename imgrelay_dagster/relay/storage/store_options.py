"""What has to be known of a destination before it is opened, beside its address and its credentials."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Options of one store.

    Attributes:
        acl: canned ACL of every object that is written, images and records alike; None sends none. A bucket whose
            policy demands `bucket-owner-full-control` demands it of every object.
        checksums: whether writes carry a checksum header (S3 only). Some S3-compatible stores refuse the header.
    """

    acl: str | None = None
    checksums: bool = True


DEFAULT_OPTIONS = StoreOptions()
"""For S3 itself and for most other stores."""
