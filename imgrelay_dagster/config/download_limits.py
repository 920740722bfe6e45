"""The engine's limits of downloads, from the run config and the environment."""

from typing import Any

from imgrelay_dagster import __version__
from imgrelay_dagster.config import environment
from imgrelay_dagster.config.sections import DownloadConfig
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.fetch.headers import check_header
from imgrelay_dagster.relay.fetch.limits import Limits
from imgrelay_dagster.relay.staging.tasks import max_concurrent_downloads


def default_user_agent() -> str:
    """The User-Agent that names imgrelay, its version and the contact of whoever runs it."""
    contact = environment.CONTACT.get()
    return f"imgrelay/{__version__} ({contact})" if contact else f"imgrelay/{__version__}"


def download_limits(download: DownloadConfig, max_concurrent: int) -> Limits:
    """The limits of each download step of a run.

    `per_host` means the run, so each of its download steps gets its share.

    Raises:
        RelayError: a header is not valid.
    """
    given = download.model_dump(exclude={"max_pixels", "per_host", "user_agent", "headers"})
    share: dict[str, Any] = {}
    if download.per_host is not None:
        steps = max_concurrent_downloads(max_concurrent)
        share = {"per_host": max(1, download.per_host // steps), "run_per_host": download.per_host}
    agent = download.user_agent or default_user_agent()
    for name, value in {**download.headers, "User-Agent": agent}.items():
        problem = check_header(name, value)
        if problem:
            raise RelayError(f"download.headers: {problem}")
    return Limits(**given, **share, user_agent=agent, headers=dict(download.headers))
