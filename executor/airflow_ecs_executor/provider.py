"""The information for Airflow's provider manager: the executor, and the options of our own section.

The Amazon provider declares ``[aws_ecs_executor]``. On Airflow 2, every command fails if two providers declare the same
section.
"""

from __future__ import annotations

from typing import Any

from airflow_ecs_executor.config import options
from airflow_ecs_executor.config.options import Option


def get_provider_info() -> dict[str, Any]:
    """Return the provider information, for the entry point ``apache_airflow_provider``."""
    return {
        "package-name": "airflow-ecs-executor",
        "name": "Amazon ECS executor",
        "description": "Runs every Airflow task in its own Amazon ECS container.",
        "executors": ["airflow_ecs_executor.AwsEcsExecutor"],
        # Airflow 3.3 warns on each command about a provider that has executors but does not declare its commands.
        "cli": ["airflow_ecs_executor.provider.get_cli_commands"],
        "config": {
            options.OWN_SECTION: {
                "description": "Options of airflow_ecs_executor.AwsEcsExecutor, which also reads those of "
                f"``[{options.SHARED_SECTION}]``.\n",
                "options": {name: _declared(option) for name, option in options.named(options.OWN_SECTION).items()},
            }
        },
    }


def get_cli_commands() -> list[Any]:
    """Return the commands that are added to Airflow's: none."""
    return []


def _declared(option: Option) -> dict[str, Any]:
    declared: dict[str, Any] = {
        "description": option.description + "\n",
        "version_added": option.version_added,
        "type": option.type,
        "example": option.example or option.default,
        "default": option.default,
    }
    if option.sensitive:
        declared["sensitive"] = True
    return declared
