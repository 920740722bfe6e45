"""The headers and metadata that each image is stored with."""

from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.addresses import scheme_of
from imgrelay_dagster.relay.storage.object_settings import provenance_headers


class ImageHeaders:
    """Makes the headers of a run's images from its settings, and from each record where provenance is wanted."""

    def __init__(self, settings: Settings, run_id: str) -> None:
        self._common = settings.object.headers()
        self._provenance = settings.object.provenance
        self._scheme = scheme_of(settings.destination)
        self._run_id = run_id

    def of(self, record: Record) -> dict[str, str]:
        """The headers of one image, as obstore's attributes."""
        if not self._provenance:
            return self._common
        known = {"run": self._run_id, "fingerprint": record.fingerprint, "source-sha256": record.source_sha256}
        given = {name: value for name, value in known.items() if value is not None}
        return {**self._common, **provenance_headers(self._scheme, given)}
