"""The executors: steps run in processes of this host, on Celery workers, or in Kubernetes pods."""
