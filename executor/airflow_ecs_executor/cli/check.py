"""``check``: check configuration, ECS, image and environment as the scheduler does when it starts."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from typing import Any

from airflow_ecs_executor.airflow_side import AirflowSide
from airflow_ecs_executor.aws.errors import classify
from airflow_ecs_executor.checks import environment, health
from airflow_ecs_executor.checks.images import IncompatibleImageError, NoMatchingRevisionError
from airflow_ecs_executor.cli import exit_codes
from airflow_ecs_executor.config.reader import read_settings
from airflow_ecs_executor.config.settings import Settings
from airflow_ecs_executor.config.source import ConfigurationError
from airflow_ecs_executor.image_check.comparison import EXIT_CODES, Fit, Versions, as_json, as_text
from airflow_ecs_executor.services import deployment_of, services_of

log = logging.getLogger("airflow_ecs_executor")


def check(conf: Any, airflow: AirflowSide, expected: Versions, task_definition: str | None, as_json_text: bool) -> int:
    """Check, print the result, and return the exit code.

    ``expected`` are the versions that the image must have; ``task_definition`` is None for the configured one.
    """
    try:
        settings = read_settings(conf, os.environ)
        for warning in settings.warnings:
            log.warning("%s", warning)
        if task_definition:
            run_task = {**settings.run_task, "taskDefinition": task_definition}
            settings = dataclasses.replace(settings, run_task=run_task)
        answer = _examine(settings, airflow, expected)
    except ConfigurationError as error:
        answer = {"exit_code": exit_codes.CONFIGURATION, "problems": [str(problem) for problem in error.problems]}
    except health.HealthCheckError as error:
        answer = {"exit_code": exit_codes.AWS, "problems": error.problems}
    except NoMatchingRevisionError as unchosen:
        answer = {"exit_code": exit_codes.AWS, "problems": [str(unchosen)]}
    except IncompatibleImageError as error:
        answer = {"exit_code": EXIT_CODES[Fit.INCOMPATIBLE], "problems": [str(error)]}
    text = answer.pop("text", None) or "\n".join(answer["problems"])
    print(json.dumps(answer, indent=2) if as_json_text else text)
    code: int = answer["exit_code"]
    return code


def _examine(settings: Settings, airflow: AirflowSide, versions: Versions) -> dict[str, Any]:
    from botocore.exceptions import BotoCoreError, ClientError  # here, so that `--help` does not wait for it

    name = settings.run_task["taskDefinition"]
    services = services_of(settings, versions, deployment_of(settings, airflow.database_place()))
    health.check(services.ecs, settings, services.store)
    try:
        checked = services.image_checks.examine(name)
    except (BotoCoreError, ClientError, OSError) as exception:
        raise health.HealthCheckError([classify(exception).reason]) from None
    report, title = checked.report, checked.title
    warnings = environment.warnings_of(checked.definition, report.facts, settings.environment, airflow)
    lines = [f"task definition {title}, container {settings.container_name}: {as_text(report)}"]
    lines += [f"  environment       {warning}" for warning in warnings]
    return {
        "exit_code": EXIT_CODES[report.outcome],
        "task_definition": title,
        "container": settings.container_name,
        **as_json(report),
        "environment": warnings,
        "text": "\n".join([*lines, *services.image_checks.messages.advice(checked)]),
    }
