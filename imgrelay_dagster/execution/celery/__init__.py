"""The Celery executor, built on dagster-celery. `executor.py` is the side of the run's process."""
