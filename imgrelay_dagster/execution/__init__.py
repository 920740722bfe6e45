"""How steps are executed: in processes of this host, in Celery workers or in Kubernetes pods."""
