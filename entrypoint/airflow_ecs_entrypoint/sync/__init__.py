"""Sync of DAGs, plugins and configuration from S3 into the container's folders."""
