"""Reading settings for hosts: which sections apply, and what is refused with its line."""

from pathlib import Path

import pytest

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.fetch.origin_settings import OriginRules, read_origin_settings

FILE = """\
"*":
  user_agent: relay/1
  headers: {Referer: "https://shop.example/"}
"*.example.com":
  headers:
    Authorization: "Bearer ${TOKEN}"
  max_requests_per_second: 2.5
img.example.com:
  per_host: 3
  headers: {Referer: "https://other.example/"}
"""


def rules(tmp_path: Path, text: str, **variables: str) -> OriginRules:
    file = tmp_path / "origins.yaml"
    file.write_text(text)
    return read_origin_settings(str(file), variables)


def test_all_matching_sections_apply_and_the_later_one_counts(tmp_path: Path) -> None:
    found = rules(tmp_path, FILE, TOKEN="s3cret")
    settings = found.of("IMG.example.com.")
    assert settings.headers == {"Referer": "https://other.example/", "Authorization": "Bearer s3cret"}
    assert (settings.user_agent, settings.max_requests_per_second, settings.per_host) == ("relay/1", 2.5, 3)
    assert "s3cret" not in repr(settings)
    assert found.of("example.com").headers == {"Referer": "https://shop.example/"}
    assert read_origin_settings(None, {}).of("h").headers == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("http://h/: {}", "line 1: 'http://h/' is not a host pattern"),
        ("h:\n  headrs: {}", "line 2: 'headrs' is not a setting"),
        ("h:\n  headers:\n    A: ${NO_SUCH}", "line 3: header A names ${NO_SUCH}, which is not set"),
        ('h:\n  headers:\n    A: "s3cret\\r\\nB: x"', "line 3: the value of A has control characters"),
        ("h:\n  headers: {Host: s3cret}", "line 2: Host cannot be set"),
        ("h:\n  headers: {a b: s3cret}", "line 2: 'a b' is not a header name"),
        ("h:\n  proxy: ftp://u:s3cret@p", "line 2: proxy: 'ftp://p' is not like"),
        ("h: {per_host: 0}", "line 1: per_host: '0' is not a number above 0"),
        ("h: {verify: /no/such.pem}", "line 1: verify: there is no file '/no/such.pem'"),
        ("h: [1]", "line 1: h is not a mapping"),
        ("\n\nh: {", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_refused_with_file_line_and_name(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(RelayError) as caught:
        rules(tmp_path, text)
    assert problem in str(caught.value)
    assert "origins.yaml" in str(caught.value)
    assert "s3cret" not in str(caught.value)
