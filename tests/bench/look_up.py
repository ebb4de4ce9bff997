"""One image check in a process of its own: prints what came out, and the seconds it took.

    python tests/bench/look_up.py IMAGE AIRFLOW PYTHON ARCHITECTURE

What a scheduler has imported by then is imported before: the AWS SDK. What the check itself imports counts.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "executor"))  # run by its path

import boto3
from airflow_ecs_executor.aws.task_definition import Platform
from airflow_ecs_executor.image_check.comparison import Versions
from airflow_ecs_executor.image_check.remote import Images, check_image


def main() -> None:
    """Check, and print."""
    image, airflow, python, architecture = sys.argv[1:]
    began = time.perf_counter()
    images = Images(lambda region: boto3.client("ecr", region_name=region))
    report = check_image(images, image, Versions(airflow, python), Platform(architecture))
    print(json.dumps({"seconds": time.perf_counter() - began, "outcome": report.outcome.value, "error": report.error}))


if __name__ == "__main__":
    main()
