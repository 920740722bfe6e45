"""What can be stored with an image, by kind of store."""

import pytest

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.storage.object_settings import ObjectSettings, provenance_headers

S3, GOOGLE, AZURE, FOLDER = "s3://images/x", "gs://images/x", "az://images/x", "/out"
FULL = ObjectSettings(
    cache_control="public, max-age=31536000, immutable",
    content_disposition="inline",
    acl="bucket-owner-full-control",
    storage_class="STANDARD_IA",
    metadata={"team": "photos"},
    tags={"project": "a b"},
    provenance=True,
)


def test_everything_can_be_stored_on_s3():
    FULL.check(S3)
    assert FULL.texts() == {
        "Cache-Control": "public, max-age=31536000, immutable",
        "Content-Disposition": "inline",
        "Storage-Class": "STANDARD_IA",
        "team": "photos",
    }


def test_nothing_is_stored_by_default():
    for destination in (S3, GOOGLE, AZURE, FOLDER):
        ObjectSettings().check(destination)
    assert ObjectSettings().texts() == {}


@pytest.mark.parametrize(
    ("fields", "destination", "problem"),
    [
        ({"cache_control": "x"}, FOLDER, r"object\.cache_control cannot be stored in a folder"),
        ({"provenance": True}, FOLDER, r"object\.provenance cannot be stored in a folder"),
        ({"acl": "private"}, AZURE, r"object\.acl cannot be set on az://"),
        ({"acl": "project-private"}, S3, r"'project-private' is not a canned ACL of s3://; use one of private"),
        ({"tags": {"a": "b"}}, GOOGLE, r"object\.tags cannot be stored on gs://; use metadata"),
        ({"metadata": {"a-b": "c"}}, AZURE, r"metadata name 'a-b' is not allowed on az://"),
        ({"metadata": {"a b": "c"}}, S3, r"metadata name 'a b' is not allowed on s3://"),
        ({"metadata": {"a": "ü"}}, S3, r"metadata 'a' has a value that is not printable ASCII"),
        ({"metadata": {"a": "x" * 1024, "b": "x" * 1024}}, S3, r"metadata has 2,050 bytes; at most 2,048"),
        ({"metadata": {"Imgrelay-run": "1"}}, S3, r"'Imgrelay-run' is reserved"),
        ({"cache_control": "a\r\nX: y"}, S3, r"cache_control 'a\\r\\nX: y' is not a header value"),
        ({"content_disposition": "attachment; filename=ü"}, S3, r"filename\*=UTF-8''"),
        ({"storage_class": "COLD LINE"}, GOOGLE, r"storage_class 'COLD LINE' is not a name"),
        ({"tags": {str(n): "" for n in range(11)}}, S3, r"tags has 11 tags; at most 10"),
        ({"tags": {"a": "b;c"}}, S3, r"tags 'a': 'b;c' is not allowed"),
    ],
)
def test_what_a_store_cannot_hold_is_refused(fields: dict[str, object], destination: str, problem: str):
    with pytest.raises(RelayError, match=problem):
        ObjectSettings(**fields).check(destination)  # type: ignore[arg-type]


def test_provenance_has_no_hyphen_on_azure():
    assert provenance_headers("az", {"source-sha256": "ab"}) == {"imgrelay_source_sha256": "ab"}
    assert provenance_headers("s3", {"source-sha256": "ab"}) == {"imgrelay-source-sha256": "ab"}
