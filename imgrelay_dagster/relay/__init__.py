"""The engine: everything that handles URLs, pixels and stored objects. It does not import Dagster.

`planning` divides a manifest into tasks, `stages` downloads, composes and uploads the entries of a task, and `results`
merges the receipts into the run's results. Dagster's ops only call these functions.
"""
