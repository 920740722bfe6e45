"""An S3 store whose objects all get a canned ACL.

obstore has no setting for an ACL, only headers that every request of a store carries. It signs these in all requests
and leaves them out when it lists, so that S3 refuses each listing. So only writes go through a store with the header.
"""

from typing import Any, Self

from obstore.store import S3Store


class S3StoreWithAcl(S3Store):
    """Reads, lists and deletes as any S3 store does, and writes every object with an ACL."""

    _writer: S3Store

    @classmethod
    def open(cls, acl: str, bucket: str, *, client_options: Any, **arguments: Any) -> Self:
        """Open a bucket. The arguments are those of `S3Store`."""
        store = cls(bucket, client_options=client_options, **arguments)
        writing: Any = {**client_options, "default_headers": {"x-amz-acl": acl}}
        store._writer = S3Store(bucket, client_options=writing, **arguments)
        return store

    def put(self, *arguments: Any, **options: Any) -> Any:
        """Write an object; see `obstore.put`."""
        return self._writer.put(*arguments, **options)
