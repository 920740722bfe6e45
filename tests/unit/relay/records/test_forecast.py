"""The forecast of a sample: everything in proportion, but the start of the run once."""

from imgrelay_dagster.relay.records.forecast import forecast

SAMPLE = {
    "sampled": 200,
    "seconds": 14.0,
    "first_image_seconds": 4.0,
    "bytes_in": 2_000_000,
    "bytes_out": 1_000_000,
    "requests": 210,
    "reasons": {"http_status": 3, "timeout": 1},
}


def test_forecast_is_in_proportion():
    found = forecast(20_000, **SAMPLE)
    assert found is not None
    assert found.seconds == 4.0 + 100 * 10.0
    assert (found.bytes_in, found.bytes_out, found.requests) == (200_000_000, 100_000_000, 21_000)
    assert (found.failed, found.reasons) == (400, {"http_status": 300, "timeout": 100})
    assert found.sentence() == (
        "forecast for all 20,000 entries, if they are like this sample: time about 16 min 44 s; "
        "bytes 200 MB to download, 100 MB to store; requests 21,000; failed 400: 300 http_status, 100 timeout"
    )


def test_forecast_without_a_stored_image_or_without_entries():
    found = forecast(400, **{**SAMPLE, "first_image_seconds": None, "reasons": {}})
    assert found is not None
    assert (found.seconds, found.failed) == (28.0, 0)
    assert dict(found.lines())["  failed"] == "0"
    assert forecast(0, **SAMPLE) is None
    assert forecast(400, **{**SAMPLE, "sampled": 0}) is None
