"""An Airflow whose tasks run on the local ECS, deployed as on AWS. `make demo` and the end-to-end tests use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from images.task_definitions.definition import Definition, Logs, render
from local.airflow import scheduler_image
from local.airflow.services import AirflowServices
from local.aws_services.aws import ACCOUNT, LocalAws
from local.aws_services.stack import Stack
from local.machine.aws_client import REGION
from local.machine.console import step

FAMILY = "airflow-worker"
CONTAINER = "airflow"
LOG_GROUP = "/airflow/worker"
BUCKET = "my-airflow-bucket"
DAGS_URI = f"s3://{BUCKET}/dags"
LOGS_URI = f"s3://{BUCKET}/logs"
LATENCY = {"placement_seconds": 1.0, "pull_seconds": 1.0}
"""Of the local ECS, where somebody watches or measures: little, but not none."""
# A task has so long for its `on_kill`; a demonstration should not wait two minutes for one that does not end.
_STOP_SECONDS = 15


def executor_settings() -> dict[str, str]:
    """Return the settings of our executor: those of docs/executor.md."""
    return {
        "AIRFLOW__CORE__EXECUTOR": "airflow_ecs_executor.AwsEcsExecutor",
        "AIRFLOW__AWS_ECS_EXECUTOR__REGION_NAME": REGION,
        "AIRFLOW__AWS_ECS_EXECUTOR__CLUSTER": "airflow",
        "AIRFLOW__AWS_ECS_EXECUTOR__CONTAINER_NAME": CONTAINER,
        "AIRFLOW__AWS_ECS_EXECUTOR__TASK_DEFINITION": FAMILY,
        "AIRFLOW__AWS_ECS_EXECUTOR__LAUNCH_TYPE": "FARGATE",
        "AIRFLOW__AWS_ECS_EXECUTOR__SUBNETS": "subnet-0123456789abcdef0",
        "AIRFLOW__AWS_ECS_EXECUTOR__SECURITY_GROUPS": "sg-0123456789abcdef0",
        "AIRFLOW__AWS_ECS_EXECUTOR__AWS_CONN_ID": "",
    }


class EcsDeployment:
    """Image, DAGs, secrets, task definition, and the Airflow that uses them. The stack removes all of it at its end."""

    def __init__(
        self,
        stack: Stack,
        worker_image: str,
        *,
        dags: Sequence[Path],
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        control_base: str | None = None,
        task_environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start the AWS; Airflow is started by ``start``.

        ``dags``: folders of DAG files. ``port``: of the UI, or a free one. ``settings``: further ones of the
        scheduler's side, which come before those of our executor. ``control_base``: the worker image that the
        scheduler's side runs, with the executor in it; default: ``worker_image``. ``task_environment``: added to the
        task definition's.
        """
        self.stack = stack
        self.worker_image = worker_image
        with ThreadPoolExecutor() as pool:
            building = pool.submit(scheduler_image.build_image, stack, control_base or worker_image)
            self.aws = LocalAws(stack)
            control_image = building.result()
        self.image = ""
        """The worker image in the local Amazon ECR, once it is pushed."""
        self._dags = dags
        self._task_environment = dict(task_environment or {})
        self._secrets: dict[str, str] = {}
        self._architecture = ""
        self.airflow = AirflowServices(
            stack,
            control_image,
            environment={**self.aws.environment(), **executor_settings(), **(settings or {})},
            dags=dags,
            logs=LOGS_URI,
            port=port,
        )

    def start(self) -> None:
        """Deploy, while the database is made: DAGs, image, secrets, the task definition; then start Airflow."""
        with ThreadPoolExecutor() as pool:
            migrating = pool.submit(self.airflow.migrate)
            self._deploy()
            migrating.result()
        self.airflow.start()

    def _deploy(self) -> None:
        for folder in self._dags:
            self.stack.upload_folder(folder, DAGS_URI)
        with step(f"{self.worker_image} to the local Amazon ECR"):
            self.image = self.aws.push(self.worker_image)
        built_for = self.stack.client.images.get(self.worker_image).attrs["Architecture"]
        self._architecture = "ARM64" if built_for == "arm64" else "X86_64"
        manager = self.aws.client("secretsmanager")
        for name, value in self.airflow.task_secrets().items():
            arn = manager.create_secret(Name=name, SecretString=value)["ARN"]
            self._secrets[name] = arn
        self.register(self.image)

    def register(self, image: str, family: str = FAMILY, **container: Any) -> str:
        """Register a revision of a task definition and return its ARN.

        ``container``: members of the container definition that differ; ``environment`` is added to its own.
        """
        definition = self.task_definition(image, family, **container)
        arn: str = self.aws.client("ecs").register_task_definition(**definition)["taskDefinition"]["taskDefinitionArn"]
        return arn

    def container_log(self, arn: str) -> str:
        """Return the output of an ECS task's container from CloudWatch Logs; empty before the first line."""
        logs = self.aws.client("logs")
        place = {"logGroupName": LOG_GROUP, "logStreamName": f"task/{CONTAINER}/{arn.rpartition('/')[2]}"}
        try:
            found = logs.get_log_events(**place, startFromHead=True)
        except logs.exceptions.ResourceNotFoundException:
            return ""
        return "\n".join(event["message"] for event in found["events"])

    def task_definition(self, image: str, family: str = FAMILY, **container: Any) -> dict[str, Any]:
        """Return the task definition of `build.py task-definition`, with other sizes and a shorter stop timeout."""
        environment = {
            "S3_URI": DAGS_URI,
            **self.airflow.task_settings(),
            **self._task_environment,
            **container.pop("environment", {}),
        }
        document = render(
            Definition(
                family=family,
                container=CONTAINER,
                image=image,
                execution_role=f"arn:aws:iam::{ACCOUNT}:role/airflow-execution",
                task_role=f"arn:aws:iam::{ACCOUNT}:role/airflow-task",
                logs=Logs(LOG_GROUP, REGION, create=True),
                cpu=1024,
                memory=2048,
                architecture=self._architecture,
                environment=environment,
                secrets=self._secrets,
                stop_timeout=_STOP_SECONDS,
            )
        )
        document["containerDefinitions"][0].update(container)
        return document
