"""Validators of responses, and the conditional requests that are made of them."""

import pytest
from urllib3 import HTTPHeaderDict

from imgrelay_dagster.relay.fetch.validators import conditional_headers, validators_of

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.parametrize("etag", ['"abc"', 'W/"abc"', '""', "unquoted", '"é"'])
def test_validators_come_back_as_they_were_sent(etag: str) -> None:
    found = validators_of(HTTPHeaderDict({"etag": etag, "last-modified": DATE}))
    assert conditional_headers(found) == {"If-None-Match": etag, "If-Modified-Since": DATE}


@pytest.mark.parametrize("etag", ["", "a b", '"a"\r\nX: y', '"' + "a" * 600 + '"', '"a", "b"', "\x00", '"☃"'])
def test_validators_that_cannot_be_sent_back_are_left_out(etag: str) -> None:
    assert validators_of({"ETag": etag}) == {}
    assert conditional_headers({"etag": etag, "last_modified": "\n", "other": "x"}) == {}
