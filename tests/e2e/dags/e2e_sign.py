"""Waiting, in a task, for a sign of the test."""

import os
import time
import urllib.request


def wait_for_sign(run_id: str) -> None:
    """Wait until S3 has an object of the run's name."""
    address = f"{os.environ['AWS_ENDPOINT_URL']}/my-airflow-bucket/go/{run_id}"
    while True:
        try:
            with urllib.request.urlopen(address, timeout=10):
                return
        except OSError:  # which every error of urllib is
            time.sleep(1)
