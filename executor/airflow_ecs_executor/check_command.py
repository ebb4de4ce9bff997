"""Check configuration, ECS, image and environment as the scheduler does when it starts, without starting it.

Airflow's own configuration and versions are used. On a machine without Airflow: ``python build.py check``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import sys
from typing import Any, Sequence

from airflow.configuration import conf

from airflow_ecs_executor import airflow_versions, health
from airflow_ecs_executor.compatibility import MisfitError, UnchosenError
from airflow_ecs_executor.config import ConfigurationError, Settings, read_settings
from airflow_ecs_executor.failures import classify
from airflow_ecs_executor.identity import deployment_of
from airflow_ecs_executor.image_check.comparison import EXIT_CODES, Outcome, Versions, as_json, as_text
from airflow_ecs_executor.services import services_of

log = logging.getLogger("airflow_ecs_executor")

_CONFIGURATION, _HEALTH = 2, 3
_EPILOG = f"""\
exit codes: 0 everything fits, {_CONFIGURATION} the configuration is wrong, {_HEALTH} ECS cannot be used,
{EXIT_CODES[Outcome.DIFFERS]} the image does not fit, {EXIT_CODES[Outcome.UNKNOWN]} whether it fits is not known
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m airflow_ecs_executor")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    check = commands.add_parser(
        "check",
        help="check everything that the scheduler checks when it starts",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("--task-definition", metavar="NAME", help="instead of the configured one; also FAMILY:matching")
    check.add_argument("--airflow", metavar="VERSION", help="what the image has to have; default: this Airflow")
    check.add_argument("--python", metavar="X.Y", help="what the image has to have; default: this Python")
    check.add_argument("--json", action="store_true", help="as JSON")
    parsed = parser.parse_args(arguments)
    own = airflow_versions.versions()
    try:
        wanted = Versions.of(parsed.airflow or own.airflow, parsed.python or own.python)
    except ValueError as error:
        check.error(str(error))
    return _check(parsed, wanted)


def _check(parsed: argparse.Namespace, wanted: Versions) -> int:
    # Standard output is for the answer alone: Airflow's log goes there, too.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s", force=True)
    log.setLevel(logging.INFO)
    try:
        settings = read_settings(conf, os.environ)
        for warning in settings.warnings:
            log.warning("%s", warning)
        if parsed.task_definition:
            run_task = {**settings.run_task, "taskDefinition": parsed.task_definition}
            settings = dataclasses.replace(settings, run_task=run_task)
        answer = _examine(settings, wanted)
    except ConfigurationError as error:
        answer = {"exit_code": _CONFIGURATION, "problems": [str(problem) for problem in error.problems]}
    except health.HealthCheckError as error:
        answer = {"exit_code": _HEALTH, "problems": error.problems}
    except UnchosenError as unchosen:
        answer = {"exit_code": _HEALTH, "problems": [str(unchosen)]}
    except MisfitError as misfit:
        answer = {"exit_code": EXIT_CODES[Outcome.DIFFERS], "problems": [str(misfit)]}
    text = answer.pop("text", None) or "\n".join(answer["problems"])
    print(json.dumps(answer, indent=2) if parsed.json else text)
    code: int = answer["exit_code"]
    return code


def _examine(settings: Settings, versions: Versions) -> dict[str, Any]:
    name = settings.run_task["taskDefinition"]
    deployment = settings.deployment or deployment_of(airflow_versions.database_place())
    services = services_of(settings, versions, deployment)
    health.check(services.ecs, settings, services.store)
    try:
        checked = services.compatibility.examine(name)
    except MisfitError:
        raise
    except Exception as exception:
        raise health.HealthCheckError([classify(exception).reason]) from None
    report, title = checked.report, checked.definition.name if checked.definition else name
    warnings = airflow_versions.environment_warnings(checked.definition, report.facts, settings.environment)
    lines = [f"task definition {title}, container {settings.container_name}: {as_text(report)}"]
    lines += [f"  environment       {warning}" for warning in warnings]
    return {
        "exit_code": EXIT_CODES[report.outcome],
        "task_definition": title,
        "container": settings.container_name,
        **as_json(report),
        "environment": warnings,
        "text": "\n".join([*lines, *services.compatibility.advice(checked)]),
    }
