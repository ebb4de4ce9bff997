"""A folder of DAGs to S3, as files or one ``archive``: ``plan`` (what to do), ``bucket`` (S3), ``push`` (the order)."""
