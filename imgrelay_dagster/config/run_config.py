"""The run config: where the URLs come from, and the options of `run_options.py`.

Input from people is checked in both. The engine gets only the `Settings` that are made from it. `config_mapping.py`
shows the form in the launchpad and passes it to the ops.
"""

from dataclasses import replace
from typing import Any

from pydantic import Field

from imgrelay_dagster.config import environment
from imgrelay_dagster.config.allowed_paths import resolve_manifest
from imgrelay_dagster.config.executor_choice import check_reachable
from imgrelay_dagster.config.run_options import ADHOC, RelayOptions
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.records.dataset_names import dataset_name, sample_dataset
from imgrelay_dagster.relay.records.layout import dataset_of_failed_file
from imgrelay_dagster.relay.settings import Sample, Settings

SAMPLE_MANIFEST = environment.SAMPLE_MANIFEST.get()
"""The manifest that the launchpad opens with in `make dev`. It is ignored if URLs are given."""


class RelayConfig(RelayOptions):
    """The whole form: where the URLs come from, and the options."""

    urls: list[str] = Field([], description="Image URLs. Give exactly one of urls, url_lines and manifest.")
    url_lines: str | None = Field(
        None,
        description="Image URLs as text, one a line: write `url_lines: |`, paste them on the lines below it, "
        "select those lines and press Tab, because YAML wants them indented.",
    )
    manifest: str | None = Field(
        SAMPLE_MANIFEST,
        description="Path, s3://, gs:// or az:// address of a manifest: .txt, .csv, .tsv, .jsonl, .ndjson or .json, "
        "each also .gz or .zst; .parquet or .xlsx.",
    )
    sample: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Relay only this many random entries, into the dataset <dataset>-sample, and forecast from them "
        "what the whole list would take.",
    )

    def settings(self) -> Settings:
        """The engine's settings."""
        failed_only = self.manifest is not None and dataset_of_failed_file(self.manifest) is not None
        part = failed_only or bool(self.urls) or bool(self.url_lines) or self.shard is not None
        settings = replace(super().settings(), whole_list=not part)
        if self.sample is None:
            return settings
        return replace(
            settings,
            dataset=sample_dataset(settings.dataset),
            sample=Sample(self.sample),
            whole_list=False,
            refresh=True,  # what is not asked for cannot be measured
            max_entries_per_run=None,
        )

    def _resolved(self) -> dict[str, Any]:
        if self.shard is not None:  # the coordinator's ledger has its lines
            return {**super()._resolved(), "urls": [], "url_lines": None, "manifest": None, "sample": None}
        if self.sample is not None and self.dry_run:
            raise RelayError("sample and dry_run exclude each other: a sample downloads, a dry run does not; give one")
        # A field that is empty in the launchpad counts as not given.
        url_lines, manifest = self.url_lines or None, self.manifest or None
        if manifest == SAMPLE_MANIFEST and (self.urls or url_lines):
            manifest = None
        _check_url_sources({"urls": self.urls, "url_lines": url_lines, "manifest": manifest})
        address = resolve_manifest(manifest) if manifest is not None else None
        if address is not None:
            check_reachable("manifest", address, "IMGRELAY_MANIFESTS")
        dataset = self.dataset if self.dataset is not None else (dataset_name(address) if address else ADHOC)
        return {**super()._resolved(), "url_lines": url_lines, "manifest": address, "dataset": dataset}


def _check_url_sources(sources: dict[str, Any]) -> None:
    given = [name for name, value in sources.items() if value]
    if len(given) != 1:
        found = " and ".join(given) if given else "none of them"
        raise RelayError(f"give exactly one of urls, url_lines and manifest; the run config has {found}")
