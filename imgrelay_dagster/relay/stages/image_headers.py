"""The headers, metadata and tags that each image is stored with."""

import re
from collections.abc import Mapping
from urllib.parse import quote

from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.placeholders import Placeholders
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.addresses import scheme_of
from imgrelay_dagster.relay.storage.object_settings import provenance_headers

_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
_NOT_IN_TAGS = re.compile(r"[^\w +\-=.:/@]")


class ImageHeaders:
    """Makes the headers of a run's images, from its settings and from each record where they depend on it."""

    def __init__(self, settings: Settings, run_id: str) -> None:
        stored = settings.object
        self._headers = {name: Placeholders.parse(text, "object") for name, text in stored.texts().items()}
        self._tags = {name: Placeholders.parse(text, "object") for name, text in stored.tags.items()}
        self._provenance = stored.provenance
        self._scheme = scheme_of(settings.destination)
        self._run_id, self._dataset = run_id, settings.dataset
        self._template = settings.template

    def headers(self, record: Record) -> dict[str, str]:
        """The headers and metadata of one image, as obstore's attributes. What is not ASCII is percent-encoded."""
        filled = {name: quote(text, safe=_PRINTABLE) for name, text in self._fill(self._headers, record).items()}
        return {**filled, **(self._provenance_of(record) if self._provenance else {})}

    def tags(self, record: Record) -> dict[str, str]:
        """The tags of one image. Characters that tags cannot hold become `_`."""
        return {name: _NOT_IN_TAGS.sub("_", text)[:256] for name, text in self._fill(self._tags, record).items()}

    def _fill(self, texts: Mapping[str, Placeholders], record: Record) -> dict[str, str]:
        if not texts:
            return {}
        own: dict[str, str | int] = {
            "line": record.line,
            "part": record.part,
            "template": record.template or self._template,
            "dataset": self._dataset,
        }
        found = {}
        for name, text in texts.items():
            columns = {column: record.carried.get(column, "") for column in text.names}
            found[name] = text.fill({**columns, **own}).strip()
        return {name: value for name, value in found.items() if value}

    def _provenance_of(self, record: Record) -> dict[str, str]:
        known = {"run": self._run_id, "fingerprint": record.fingerprint, "source-sha256": record.source_sha256}
        return provenance_headers(self._scheme, {name: value for name, value in known.items() if value is not None})
