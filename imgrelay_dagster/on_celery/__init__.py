"""The entry point of Celery workers. The executor of the run's process is in `execution/celery/`."""
