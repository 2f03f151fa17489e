"""When and where a job runs: Celery tasks, thin over the services."""
