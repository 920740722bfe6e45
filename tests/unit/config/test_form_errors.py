"""What a run config that is refused is told."""

import pytest

from imgrelay_dagster.config.run_config import RelayConfig
from imgrelay_dagster.relay.errors import RelayError

URLS = {"urls": ["http://127.0.0.1/a.jpg"]}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"layout": "watermark"}, "layout is a section of several fields; write layout: {mode: watermark}"),
        ({"output": "webp"}, "write output: {format: webp}"),
        ({"download": 5}, "write download: {connect_timeout: "),
        (
            {"download": {"cookies": {"a": "x"}}},
            "download.cookies is not a field of the run config; the fields of",
        ),
        ({"output": {"qualty": 3}}, "output.qualty is not a field of the run config; did you mean quality?"),
        ({"shard": {"numbre": 3}}, "shard.numbre is not a field of the run config; did you mean number?"),
        ({"quality": 300}, "quality is not a field of the run config; the fields are"),
        ({"output": {"quality": 300}}, "output.quality: 300 is refused: input should be less than or equal to 100"),
    ],
)
def test_a_refused_value_is_named_with_what_to_write_instead(given: dict[str, object], sentence: str):
    with pytest.raises(RelayError) as caught:
        RelayConfig.checked({**URLS, **given})
    assert sentence in str(caught.value)
