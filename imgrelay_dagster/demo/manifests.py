"""Lists of the demo origin's URLs, and manifest files with them."""

import csv
from pathlib import Path, PurePosixPath
from urllib.parse import urljoin, urlsplit

from imgrelay_dagster.demo.faults import FAULTS, UNREACHABLE
from imgrelay_dagster.demo.pictures import names
from imgrelay_dagster.relay.outcomes import Reason

_SAMPLE_EXTRAS = (
    "/jpeg-turned/orientation-6.jpg",
    "/odd/redirect.jpg",
    "/odd/busy-twice.jpg",
    "/bad/not-found.jpg",
)


SAMPLE_PORT = 8790
"""Port in the URLs of the sample manifest."""


def all_urls(base: str) -> list[str]:
    """Return all URLs of the origin at `base`, such as `http://127.0.0.1:8790/`, good ones first."""
    return [*(urljoin(base, path) for path in (*names(), *FAULTS)), *UNREACHABLE]


def sample_urls(base: str) -> list[str]:
    """Return one picture of each kind, a redirect, a URL that needs retries, and a URL that fails.

    They are few enough for a task per URL.
    """
    first_of_kind = {name.split("/")[0]: name for name in reversed(names())}
    return [urljoin(base, path) for path in (*reversed(first_of_kind.values()), *_SAMPLE_EXTRAS)]


def expected(urls: list[str]) -> dict[str, Reason | None]:
    """Return the expected result of each URL: the reason of its failure, or None if it is relayed."""
    return {url: UNREACHABLE.get(url) or _reason(urlsplit(url).path) for url in urls}


def key(url: str) -> str:
    """Return a readable key for a URL: `http://127.0.0.1:8790/png-alpha/rings.png` gives `png-alpha-rings.jpg`."""
    return str(PurePosixPath(urlsplit(url).path).with_suffix(".jpg")).strip("/").replace("/", "-")


def write_manifest(path: Path, urls: list[str]) -> None:
    """Write a manifest: one URL per line, or for `.csv` the columns `url` and `key`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            csv.writer(file, lineterminator="\n").writerows([("url", "key"), *((url, key(url)) for url in urls)])
        else:
            file.writelines(f"{url}\n" for url in urls)


def _reason(path: str) -> Reason | None:
    return FAULTS[path].reason if path in FAULTS else None
