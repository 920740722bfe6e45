"""Steps on Celery workers, by dagster-celery: what both sides agree on, the run's side, the worker's side."""
