"""What is stored with each image: headers, metadata and tags, and which of them a kind of store can hold."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.placeholders import Placeholders
from imgrelay_dagster.relay.storage.addresses import scheme_of

ACLS = {
    "s3": (
        "private",
        "public-read",
        "public-read-write",
        "authenticated-read",
        "aws-exec-read",
        "bucket-owner-read",
        "bucket-owner-full-control",
    ),
    "gs": (
        "private",
        "public-read",
        "public-read-write",
        "authenticated-read",
        "bucket-owner-read",
        "bucket-owner-full-control",
        "project-private",
    ),
}
"""The canned ACLs of each kind of store that has them."""

OWNER_ACLS = frozenset({"private", "bucket-owner-read", "bucket-owner-full-control", "project-private"})
"""ACLs that give nobody but the owners access. Records get these too, so that a bucket that demands one accepts them.
Records hold the URLs of the manifest: an ACL that makes images public is for images alone."""

MAX_TAGS = 10
"""Tags of one object, on S3 and on Azure."""

MAX_METADATA = 2_048
"""Bytes of all metadata names and values of one object, on S3; the other stores allow more."""

OWN_NAMES = ("line", "part", "template", "dataset")
"""Placeholders that are not columns of the manifest."""

PROVENANCE = ("run", "fingerprint", "source-sha256")
"""Metadata that imgrelay adds on request, each with the prefix `imgrelay-`. URLs are never among them."""

_TEXT = re.compile(r"[\x20-\x7e]{1,1024}")
_STORAGE_CLASS = re.compile(r"[A-Za-z][A-Za-z_]{0,39}")
_NAMES = {"az": re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_TAG = re.compile(r"[\w +\-=.:/@]*")
_BRACES = re.compile(r"[{}]")


@dataclass(frozen=True, slots=True)
class ObjectSettings:
    """What is stored with each image beside its bytes. Fields that are None or empty store nothing.

    The values of `cache_control`, `content_disposition`, `storage_class`, `metadata` and `tags` may hold placeholders:
    `{sku}` is the value of the line's column `sku`. A value that comes out empty is not stored.

    Attributes:
        cache_control: `Cache-Control` header, such as `public, max-age=31536000, immutable`.
        content_disposition: `Content-Disposition` header, such as `inline`.
        acl: canned ACL, on S3 and Google.
        storage_class: storage class on S3 and Google, access tier on Azure.
        metadata: custom metadata, `x-amz-meta-*` and its like.
        tags: object tags, on S3 and Azure.
        provenance: add the metadata named in `PROVENANCE`.
    """

    cache_control: str | None = None
    content_disposition: str | None = None
    acl: str | None = None
    storage_class: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    provenance: bool = False

    def texts(self) -> dict[str, str]:
        """The values that may hold placeholders such as `{sku}`, by obstore's attribute names."""
        named = {
            "Cache-Control": self.cache_control,
            "Content-Disposition": self.content_disposition,
            "Storage-Class": self.storage_class,
        }
        return {**{name: value for name, value in named.items() if value}, **self.metadata}

    def columns(self) -> tuple[str, ...]:
        """The columns of the manifest that the values use.

        Raises:
            RelayError: a placeholder is not valid.
        """
        values = (*self.texts().values(), *self.tags.values())
        names = (name for value in values for name in Placeholders.parse(value, "object").names)
        return tuple(dict.fromkeys(name for name in names if name not in OWN_NAMES))

    def constants(self) -> tuple[dict[str, str], dict[str, str]]:
        """The headers with the metadata, and the tags, whose values hold no placeholder: each image has these."""
        return _without_placeholders(self.texts()), _without_placeholders(self.tags)

    def given(self) -> tuple[str, ...]:
        """The names of the fields that store something."""
        return tuple(name for name in self.__slots__ if getattr(self, name))

    def check(self, destination: str) -> None:
        """Check that a destination can hold all of this.

        Raises:
            RelayError: it cannot, or a value is not valid. The message names the field and the solution.
        """
        self.columns()
        problem = self._text_problem() or self._store_problem(scheme_of(destination))
        if problem:
            raise RelayError(f"object.{problem}")

    def _text_problem(self) -> str | None:
        for name in ("cache_control", "content_disposition"):
            value = getattr(self, name)
            if value is not None and not _TEXT.fullmatch(value):
                return f"{name} {value!r} is not a header value; use 1 to 1,024 printable ASCII characters" + (
                    "" if name == "cache_control" else ", and filename*=UTF-8'' for other names"
                )
        named_class = self.storage_class
        if named_class is not None and "{" not in named_class and not _STORAGE_CLASS.fullmatch(named_class):
            return f"storage_class {self.storage_class!r} is not a name such as STANDARD_IA"
        for name, value in self.metadata.items():
            if name.lower().startswith("imgrelay"):
                return f"metadata name {name!r} is reserved; choose one that does not start with imgrelay"
            if value and not _TEXT.fullmatch(value):
                return f"metadata {name!r} has a value that is not printable ASCII; encode it, for example as %C3%BC"
        size = sum(len(name) + len(value) for name, value in self.metadata.items())
        if size > MAX_METADATA:
            return f"metadata has {size:,} bytes; at most {MAX_METADATA:,} are allowed"
        return self._tag_problem()

    def _tag_problem(self) -> str | None:
        if len(self.tags) > MAX_TAGS:
            return f"tags has {len(self.tags)} tags; at most {MAX_TAGS} are allowed"
        for name, value in self.tags.items():
            if not (
                0 < len(name) <= 128
                and len(value) <= 256
                and _TAG.fullmatch(name)
                and _TAG.fullmatch(_BRACES.sub("", value))
            ):
                return (
                    f"tags {name!r}: {value!r} is not allowed; a name has 1 to 128 and a value up to 256 letters, "
                    "digits, spaces and + - = . _ : / @"
                )
        return None

    def _store_problem(self, scheme: str | None) -> str | None:
        """Why this kind of store cannot hold it; a folder holds nothing but the file itself."""
        if scheme is None:
            given = self.given()
            return (
                f"{given[0]} cannot be stored in a folder; leave it out, or use a bucket as destination"
                if given
                else None
            )
        if self.acl is not None and scheme not in ACLS:
            return f"acl cannot be set on {scheme}://; leave it out and set access on the container"
        if self.acl is not None and self.acl not in ACLS[scheme]:
            return f"acl {self.acl!r} is not a canned ACL of {scheme}://; use one of {', '.join(ACLS[scheme])}"
        if self.tags and scheme == "gs":
            return "tags cannot be stored on gs://; use metadata"
        pattern = _NAMES.get(scheme, _NAME)
        wrong = next((name for name in self.metadata if not pattern.fullmatch(name)), None)
        if wrong is not None:
            allowed = "letters, digits and _" if scheme in _NAMES else "letters, digits and - _ ."
            return f"metadata name {wrong!r} is not allowed on {scheme}://; use {allowed}"
        return None


def _without_placeholders(texts: Mapping[str, str]) -> dict[str, str]:
    parsed = {name: Placeholders.parse(text, "object") for name, text in texts.items() if text}
    return {name: text.fill({}) for name, text in parsed.items() if not text.names}


def provenance_headers(scheme: str | None, values: Mapping[str, str]) -> dict[str, str]:
    """Provenance as metadata, by obstore's attribute names. Azure allows no hyphen in a name."""
    prefixed = {f"imgrelay-{name}": value for name, value in values.items()}
    return {name.replace("-", "_"): value for name, value in prefixed.items()} if scheme == "az" else prefixed
