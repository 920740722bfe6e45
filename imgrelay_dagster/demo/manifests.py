"""Lists of the demo origin's URLs, and the manifest files made of them."""

import csv
from pathlib import Path, PurePosixPath
from urllib.parse import urljoin, urlsplit

from imgrelay_dagster.demo.pictures import names
from imgrelay_dagster.demo.trouble import ELSEWHERE, TROUBLES
from imgrelay_dagster.relay.outcomes import Reason

_SAMPLE_EXTRAS = (
    "/jpeg-turned/orientation-6.jpg",
    "/odd/redirect.jpg",
    "/odd/busy-twice.jpg",
    "/bad/not-found.jpg",
)


SAMPLE_PORT = 8790
"""Port that the sample manifest's URLs name."""


def everything(base: str) -> list[str]:
    """All URLs of the origin at `base` (such as `http://127.0.0.1:8790/`), good ones first."""
    return [*(urljoin(base, path) for path in (*names(), *TROUBLES)), *ELSEWHERE]


def sample(base: str) -> list[str]:
    """One picture of each kind, two detours and one URL that fails: few enough for a chain of steps each."""
    first_of_kind = {name.split("/")[0]: name for name in reversed(names())}
    return [urljoin(base, path) for path in (*reversed(first_of_kind.values()), *_SAMPLE_EXTRAS)]


def expected(urls: list[str]) -> dict[str, Reason | None]:
    """What should become of each URL: the reason it fails for, or None where it is relayed."""
    return {url: ELSEWHERE.get(url) or _reason(urlsplit(url).path) for url in urls}


def key(url: str) -> str:
    """A readable key for a URL: `http://127.0.0.1:8790/png-alpha/rings.png` gives `png-alpha-rings.jpg`."""
    return str(PurePosixPath(urlsplit(url).path).with_suffix(".jpg")).strip("/").replace("/", "-")


def write(path: Path, urls: list[str]) -> None:
    """Writes a manifest: a URL a line, or for `.csv` the columns `url` and `key`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            csv.writer(file, lineterminator="\n").writerows([("url", "key"), *((url, key(url)) for url in urls)])
        else:
            file.writelines(f"{url}\n" for url in urls)


def _reason(path: str) -> Reason | None:
    return TROUBLES[path].reason if path in TROUBLES else None
