"""Making `report.html` and `failed.csv` again from what a run has left in the destination."""

from dataclasses import replace

from obstore.store import ObjectStore

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.html_report.render import write_html_report
from imgrelay_dagster.relay.html_report.run_notes import stretched_template
from imgrelay_dagster.relay.html_report.statistics import RunStatistics
from imgrelay_dagster.relay.records.layout import FAILED_TABLE_FILE, failed_table_key, report_key, run_receipts_prefix
from imgrelay_dagster.relay.records.receipt_index import ReceiptIndex
from imgrelay_dagster.relay.records.receipts import read_receipts, record_json
from imgrelay_dagster.relay.records.run_settings import read_run_settings
from imgrelay_dagster.relay.records.summary import read_summary
from imgrelay_dagster.relay.results.csv_table import write_failed_table
from imgrelay_dagster.relay.results.history import result_lines
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.objects import put_object
from imgrelay_dagster.relay.storage.scratch_files import scratch_folder


def rebuild_report(store: ObjectStore, dataset: str, run_id: str) -> str:
    """Write `report.html` and `failed.csv` of a run again; returns the report's key.

    Raises:
        RelayError: the run has no results, or the destination cannot be read or written.
    """
    summary = read_summary(store, dataset, run_id)
    if summary is None:
        raise RelayError(f"run {run_id} of dataset {dataset!r} has no results yet; a run writes them at its end")
    settings = read_run_settings(store, dataset, run_id) or Settings(dataset, "")
    statistics = RunStatistics(run_id, stretched_template(settings))
    with scratch_folder() as scratch:
        with ReceiptIndex(scratch / "receipts.db") as receipts:
            for receipt in read_receipts(store, run_receipts_prefix(dataset, run_id)):
                receipts.add(receipt.entry, receipt)
            for record in map(record_json.validate_json, result_lines(store, dataset, run_id)):
                ended = receipts.get(record.entry)
                statistics.add(record if ended is None else replace(record, at=ended.at))
        path = scratch / FAILED_TABLE_FILE
        write_failed_table(path, result_lines(store, dataset, run_id))
        put_object(store, failed_table_key(dataset, run_id), path, "text/csv; charset=utf-8")
    if not write_html_report(store, summary, settings, statistics):
        raise RelayError(f"report.html of run {run_id} cannot be written")
    return report_key(dataset, run_id)
