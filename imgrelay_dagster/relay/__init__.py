"""The engine: everything that touches a URL, a pixel or an object. It knows no Dagster.

`plan` cuts a manifest into tasks; `download`, `compose` and `upload` work through a task each;
`report` folds the receipts into results. Dagster's ops call these functions and nothing else does the work.
"""
