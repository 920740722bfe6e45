"""Steps in Celery workers, on top of dagster-celery."""
