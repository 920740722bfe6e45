"""Manifests as people have them: tables of any kind, read by the command, with columns carried into the results."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from imgrelay_dagster.demo.origin import Origin
from tests.conftest import Ran
from tests.support.stored_files import files, results

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Command = Callable[..., Ran]


def test_a_shop_export_with_carried_columns_and_several_urls_in_a_cell(
    imgrelay: Command, origin: Origin, tmp_path: Path
):
    one, two, three = (url.removeprefix("http:") for url in origin.many(3))
    table = (
        "sep=;\r\nSKU;Name;key;Image Src;Variant Image\r\n"
        f'1001;"Stuhl; rot";chairs/1001.jpg;"http:{one}, http:{two}";x\r\n'
        f"1002;Tisch;../1002.jpg;http:{three};x\r\n"
        "1003;Bank;;;x\r\n"
    )
    manifest = tmp_path / "shop.csv.zst"
    manifest.write_bytes(zstd.compress(b"\xff\xfe" + table.encode("utf-16-le")))
    out = tmp_path / "out"
    ran = imgrelay(
        "run", "--manifest", manifest, "--destination", out, "--column", "url=image src", "--column", "split=,",
        "--carry", "sku,Name", "--tolerated-failure-percentage", "100", "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert {key for key in files(out) if not key.startswith("_relay/")} == {"chairs/1001-1.jpg", "chairs/1001-2.jpg"}
    lines = results(files(out), ran.summary)
    assert [(line["line"], line["part"], line["outcome"]) for line in lines] == [
        (3, 1, "uploaded"),
        (3, 2, "uploaded"),
        (4, 0, "failed"),
        (5, 0, "failed"),
    ]
    assert lines[2]["url"] == f"http:{three}"
    assert [line["carried"] for line in lines[1:3]] == [
        {"sku": "1001", "Name": "Stuhl; rot"},
        {"sku": "1002", "Name": "Tisch"},
    ]
    failed = out / "_relay" / "shop" / "runs" / ran.summary["run_id"] / "failed.jsonl"
    again = imgrelay(
        "run", "--manifest", failed, "--destination", out, "--column", "url=image src", "--carry", "sku",
        "--tolerated-failure-percentage", "100", "--json",
    )  # fmt: skip
    assert (again.summary["dataset"], again.summary["failed"]) == ("shop", 2), again.err
    assert [line["carried"] for line in results(files(out), again.summary)] == [{"sku": "1002"}, {"sku": "1003"}]


def test_a_dry_run_asks_no_origin_and_leaves_nothing(imgrelay: Command, origin: Origin, tmp_path: Path):
    urls = origin.many(12)
    manifest = tmp_path / "birds.jsonl"
    lines = [{"Image URL": url} for url in [*urls, urls[0]]] + [{"Image URL": "ftp://h/a.jpg"}]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    before = dict(origin.hits)
    ran = imgrelay("run", "--manifest", manifest, "--destination", tmp_path / "out", "--dry-run", "--json")
    assert ran.code == 0, ran.err
    shown = ran.summary
    assert (shown["entries"], shown["to_relay"], shown["repeated"], shown["failed"]) == (14, 12, 1, 1)
    assert shown["reasons"] == {"bad_url": 1}
    assert len(shown["keys"]) == 10
    assert shown["notes"] == ["image URLs are in field 'Image URL'"]
    assert origin.hits == before
    assert not (tmp_path / "out").exists()


def test_a_sample_relays_some_entries_apart_and_forecasts_all(imgrelay: Command, origin: Origin, tmp_path: Path):
    manifest, out = tmp_path / "birds.csv", tmp_path / "out"
    rows = (f"{url},{number}.jpg\n" for number, url in enumerate(origin.many(80)))
    manifest.write_text("url,key\n" + "".join(rows))
    ran = imgrelay("run", "--manifest", manifest, "--destination", out, "--sample", "30", "--json")
    assert ran.code == 0, ran.err
    summary = ran.summary
    assert (summary["dataset"], summary["entries"], summary["uploaded"]) == ("birds-sample", 30, 30)
    assert summary["forecast"]["entries"] == 80
    assert summary["forecast"]["bytes_out"] == round(summary["bytes_out"] * 80 / 30)
    assert summary["forecast"]["requests"] >= 80
    images = {key for key in files(out) if not key.startswith("_relay/")}
    assert len(images) == 30
    assert all(key.startswith("birds-sample/") for key in images)
    assert not (out / "_relay" / "birds").exists()
