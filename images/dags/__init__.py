"""Upload a folder of DAGs to S3.

``plan`` (what to do), ``bucket`` (S3), ``archive``, ``push`` (the order of the steps).
"""
