"""The commands that check an existing image: verify, check."""

from __future__ import annotations

import argparse
import json

from airflow_ecs_executor.image_check.comparison import Versions

from images import inputs
from images.cli.parser import Add
from images.engine import Engine
from images.errors import RequestError
from images.matrix import Matrix
from images.verify import require_verified, table, verify


def add_commands(add: Add, matrix: Matrix) -> None:
    """Add the commands to the command line."""
    child = add("verify", _verify, "run an image, compare it with its labels, and look for secrets in it")
    child.add_argument("image", help="image name; pulled if it is not on the engine")
    child.add_argument("--platform", help="platform of the image, if it is not the engine's own")
    child.add_argument("--json", action="store_true", help="print JSON")
    child = add("check", _check, "compare an image with a scheduler's Airflow and Python, without pulling it")
    child.add_argument(
        "target", metavar="IMAGE|TASK_DEFINITION", help="image with its tag; or family, family:revision or ARN"
    )
    child.add_argument(
        "--airflow", metavar="VERSION", required=True, help="the scheduler's Airflow version, such as 3.3.2"
    )
    child.add_argument("--python", metavar="X.Y", required=True, help="the scheduler's Python version, such as 3.12")
    child.add_argument(
        "--platform", metavar="OS/ARCH", help=f"{', '.join(matrix.platforms)}; default: that of the task definition"
    )
    child.add_argument(
        "--container", metavar="NAME", help="container that runs the Airflow tasks, if there are several"
    )
    child.add_argument("--region", help="AWS region of the task definition; default: as configured for the AWS SDK")
    child.add_argument("--json", action="store_true", help="print JSON")


def _verify(matrix: Matrix, parsed: argparse.Namespace) -> None:
    if not parsed.image.strip():
        raise RequestError("verify requires the name of an image.", "For example: airflow-ecs-worker:2-s3")
    engine = Engine()
    engine.require()
    checks = verify(engine, parsed.image, parsed.platform)
    if parsed.json:
        print(json.dumps([vars(check) for check in checks], indent=2))
    elif all(check.passed for check in checks):
        print(table(checks))
    require_verified(parsed.image, checks)


def _check(matrix: Matrix, parsed: argparse.Namespace) -> None:
    from images import check  # here: other commands do not need the AWS SDK

    try:
        versions = Versions.of(parsed.airflow, parsed.python)
    except ValueError as error:
        raise RequestError(f"{error}.", "For example: --airflow 3.3.2 --python 3.12") from None
    if parsed.platform:
        inputs.check_platform(parsed.platform, matrix.platforms)
    platform = check.platform_of(parsed.platform) if parsed.platform else None
    target = check.target_of(parsed.target, parsed.container, parsed.region, platform)
    report = check.report_on(target, versions, Engine())
    check.print_report(target, report, versions, as_json=parsed.json)
