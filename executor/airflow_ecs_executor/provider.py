"""What Airflow's provider manager is told: the executor, and the options of our own section.

Ours alone: the Amazon provider declares ``[aws_ecs_executor]``, and on Airflow 2 two declarations of one section make
every command of Airflow fail.
"""

from __future__ import annotations

from typing import Any

from airflow_ecs_executor.config import options
from airflow_ecs_executor.config.options import Option


def get_provider_info() -> dict[str, Any]:
    """Describe the distribution, for the entry point ``apache_airflow_provider``."""
    return {
        "package-name": "airflow-ecs-executor",
        "name": "Amazon ECS executor",
        "description": "Runs every Airflow task in an Amazon ECS container of its own.",
        "executors": ["airflow_ecs_executor.AwsEcsExecutor"],
        # Airflow 3.3 warns on each command about a provider with executors that does not say what commands it adds.
        "cli": ["airflow_ecs_executor.provider.get_cli_commands"],
        "config": {
            options.OWN_SECTION: {
                "description": "Options of airflow_ecs_executor.AwsEcsExecutor, besides those of "
                f"``[{options.SHARED_SECTION}]``, which it reads as well.\n",
                "options": {option.name: _declared(option) for option in options.OWN_OPTIONS},
            }
        },
    }


def get_cli_commands() -> list[Any]:
    """No commands are added to Airflow's."""
    return []


def _declared(option: Option) -> dict[str, Any]:
    declared: dict[str, Any] = {
        "description": option.description + "\n",
        "version_added": option.version_added,
        "type": option.type,
        "example": option.example,
        "default": option.default,
    }
    if option.sensitive:
        declared["sensitive"] = True
    return declared
