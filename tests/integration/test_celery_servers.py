"""What servers want and send, refuse and remember, with the steps on Celery workers of two hosts."""

from collections.abc import Iterator
from typing import Any

import pytest

from imgrelay_dagster.demo.pictures import picture
from tests.support.celery_checks import ensure_workers
from tests.support.celery_cluster import Cluster, missing
from tests.support.hostile_origin import HostileOrigin
from tests.support.slow_origin import slow_origin

pytestmark = [pytest.mark.redis, pytest.mark.skipif(missing() is not None, reason=str(missing()))]

PHOTO = picture("jpeg/tiny-sunset.jpg")
IMAGE = (PHOTO.data, PHOTO.media_type)
PROXIED = [f"http://pictures.example.com/{number}.jpg" for number in range(8)]
FORM = {"urls_per_task": 2, "max_concurrent": 4, "tolerated_failure_percentage": 100}
BOTH = {"celery@first", "celery@second"}

SETTINGS = """
"localhost": {{headers: {{X-Partner: "${{PARTNER}}"}}}}
"*.example.com": {{proxy: "{proxy}"}}
"""


@pytest.fixture(scope="module")
def proxy() -> Iterator[HostileOrigin]:
    """A proxy that answers for every host, with an image for `PROXIED`."""
    with HostileOrigin(dict.fromkeys(PROXIED, IMAGE)) as server:
        yield server


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, proxy: HostileOrigin) -> Iterator[Cluster]:
    """With settings for hosts, and with a proxy in the environment, which is none of these settings."""
    settings = tmp_path_factory.mktemp("settings") / "origins.yaml"  # workers do not see the folder of the cluster
    settings.write_text(SETTINGS.format(proxy=proxy.url("")))
    with Cluster(tmp_path_factory.mktemp("celery") / "here") as started:
        started.more = {
            "IMGRELAY_ORIGIN_SETTINGS": str(settings),
            "PARTNER": "imgrelay",
            "HTTP_PROXY": "http://127.0.0.1:9",
            "NO_PROXY": "127.0.0.1,localhost",
        }
        ensure_workers(started, "first", "second", slots=2)
        yield started


def relay(cluster: Cluster, name: str, urls: list[str], **form: Any) -> list[dict[str, Any]]:
    """Relay these URLs on both workers; returns the lines of the results."""
    manifest = cluster.put(f"manifests/{name}.txt", urls)
    with cluster.launch({**FORM, **form, "manifest": manifest}) as run:
        ran = run.wait(180)
    assert ran.code == 0, ran.err
    rows = cluster.results("framed", name, run.id)
    assert [row["url"] for row in rows] == urls
    assert set(run.workers()) == BOTH
    return rows


def failures(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["url"], row["detail"]) for row in rows if row["outcome"] == "failed"]


def test_what_servers_want_and_send_is_no_matter_of_where_a_step_runs(cluster: Cluster) -> None:
    with HostileOrigin({"/x.jpg": IMAGE}) as hostile:
        paths = ["cookie-redirect", "gzipped", "deflated/raw", "retry-after/1", "once-a-connection/close"]
        urls = [
            hostile.url(f"/{path}/{number}/x.jpg")
            for number in range(4)
            for path in (*paths, "interim/103", "odd-headers")
        ]
        urls += [hostile.url(f"/wants/x-partner/{number}/x.jpg", "localhost") for number in range(4)]
        assert failures(relay(cluster, "servers", urls, urls_per_task=8)) == []


def test_a_refusal_is_asked_again_and_what_is_not_asked_says_since_when_and_how(cluster: Cluster) -> None:
    refused, gone = ([f"/status/{status}?{number}" for number in range(4)] for status in (403, 404))
    with HostileOrigin() as first:
        urls = [first.url(path) for path in (*refused, *gone)]
        assert len(failures(relay(cluster, "refused", urls))) == len(urls)
    with HostileOrigin({"/status/403": IMAGE, "/status/404": IMAGE}, listen=first.port) as mended:
        rows = relay(cluster, "refused", urls)
        assert [row["outcome"] for row in rows] == ["uploaded"] * 4 + ["failed"] * 4
        for row in rows[4:]:
            assert row["detail"].startswith("not asked in this run; answered 404 on 20")
            assert "; --retry-permanent asks again" in row["detail"]
        assert mended.hits["/status/404"] == 0
        rows = relay(cluster, "refused", urls, retry_permanent=True)
        assert [row["outcome"] for row in rows] == ["unchanged"] * 4 + ["uploaded"] * 4


def test_a_proxy_is_used_if_it_is_in_the_settings_and_one_of_the_environment_is_named(
    cluster: Cluster, proxy: HostileOrigin
) -> None:
    unreachable = [f"http://nowhere-{number}.invalid/a.jpg" for number in range(2)]
    rows = relay(cluster, "proxied", [*PROXIED, *unreachable], download={"attempts": 1})
    assert [row["outcome"] for row in rows] == ["uploaded"] * len(PROXIED) + ["failed"] * len(unreachable)
    assert set(proxy.hits) >= set(PROXIED)
    for _, detail in failures(rows):
        assert "HTTP_PROXY is set, but proxies of the environment are not used" in detail


def test_a_run_that_clearly_goes_wrong_ends_early_and_says_why(cluster: Cluster) -> None:
    with slow_origin(0.5) as origin:
        urls = [origin.url(f"missing.jpg?{number}") for number in range(400)]
        limits = {"stop_when_failed": {"percentage": 50, "after": 20}, "download": {"threads": 2}}
        form = {**FORM, **limits, "urls_per_task": 20, "manifest": cluster.put("manifests/wrong.txt", urls)}
        with cluster.launch(form) as run:
            ran = run.wait(180)
    assert ran.code == 1, ran.err
    assert "stop_when_failed" in ran.err
    assert ran.summary["failed"] >= 20
    assert ran.summary["not_attempted"] > 0
    assert len(cluster.results("framed", "wrong", run.id)) == len(urls)
