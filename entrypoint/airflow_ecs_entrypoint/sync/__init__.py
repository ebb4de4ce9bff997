"""Loads DAGs and plugins from S3 into the container's folders."""
