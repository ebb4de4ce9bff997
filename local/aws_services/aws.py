"""A local AWS: moto, an image registry as Amazon ECR, and the local ECS, which runs tasks in Docker containers."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from docker.errors import APIError
from docker.models.containers import Container

from local.aws_services import image_push, service_image
from local.aws_services.stack import HOME, PYTHON, Stack, published_port, sources, wait_for_http
from local.ecs.containers import SOCKET
from local.ecs.containers.runner import SETTINGS_VARIABLE
from local.ecs.containers.spec import TASK_ADDRESS
from local.ecs.control import EcsControl
from local.errors import ServiceError
from local.machine.aws_client import REGION, aws_client
from local.machine.client import engine_socket

ACCOUNT = "123456789012"
REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
"""Images of this registry are in the local one."""
_ECS_PORT, _ECR_PORT = 51678, 5001
_UPSTREAM, _AWS = "registry:5000", "aws:5000"
# The address of the tasks' endpoints is this container's own.
_ECS_SCRIPT = f'ip address add {TASK_ADDRESS}/32 dev lo && exec "$@"'


class LocalAws:
    """The AWS of one stack, which removes it at its end."""

    def __init__(self, stack: Stack) -> None:
        """Start the services and wait until they answer."""
        self.stack = stack
        with ThreadPoolExecutor() as pool:
            ecr = pool.submit(self._start_ecr)
            self.registry = stack.start_registry()
            """The image registry behind the account's ECR, for this machine: ``127.0.0.1:port``."""
            self._connect()
            self._ecr = ecr.result()

    def _connect(self) -> None:
        """Start the ECS API, and wait until it answers."""
        self._ecs = self._start_ecs()
        self._endpoint = f"http://127.0.0.1:{published_port(self._ecs, _ECS_PORT)}"
        ready = f"{self._endpoint}/_control/running"
        wait_for_http(ready, self._ecs, "the ECS API")
        self.ecs = EcsControl(self._endpoint)

    def _start_ecr(self) -> Container:
        """Start the part of ECR's API that serves images and logins from the registry; moto has the repositories."""
        return self.stack.start(
            service_image.ensure_image(),
            [PYTHON, "-m", "local.fakes.registry", "--port", str(_ECR_PORT), "--upstream", _UPSTREAM, "--aws", _AWS],
            name="ecr",
            port=_ECR_PORT,
            files=sources("fakes"),
            working_dir=HOME,
        )

    def _start_ecs(self) -> Container:
        settings = {
            "network": self.stack.network,
            "registry": self.registry,
            "network_image": service_image.ensure_image(),
            "labels": self.stack.labels,
            "region": REGION,
            "aws_endpoint": self.stack.aws_environment()["AWS_ENDPOINT_URL"],
        }
        command = [PYTHON, "-m", "local.ecs", "--host", "0.0.0.0", "--port", str(_ECS_PORT)]
        command += ["--region", REGION, "--account", ACCOUNT]
        return self.stack.start(
            service_image.ensure_image(),
            ["sh", "-c", _ECS_SCRIPT, "ecs", *command, "--runner", "local.ecs.containers.runner:from_environment"],
            name="ecs",
            port=_ECS_PORT,
            environment={**self.stack.aws_environment(), SETTINGS_VARIABLE: json.dumps(settings)},
            files=sources("ecs"),
            working_dir=HOME,
            user="0",
            cap_add=["NET_ADMIN"],
            volumes={engine_socket(): {"bind": SOCKET, "mode": "rw"}},
        )

    def environment(self) -> dict[str, str]:
        """Credentials, region and endpoints, for containers on the stack's network that use AWS."""
        return {
            **self.stack.aws_environment(),
            "AWS_ENDPOINT_URL_ECS": f"http://ecs:{_ECS_PORT}",
            "AWS_ENDPOINT_URL_ECR": f"http://ecr:{_ECR_PORT}",
        }

    def local_environment(self) -> dict[str, str]:
        """Return the same variables with addresses for programs on this machine."""
        return {
            **self.stack.aws_environment(),
            "AWS_ENDPOINT_URL": self.stack.aws_endpoint,
            "AWS_ENDPOINT_URL_ECS": self._endpoint,
            "AWS_ENDPOINT_URL_ECR": f"http://127.0.0.1:{published_port(self._ecr, _ECR_PORT)}",
        }

    def restart_ecs(self) -> None:
        """Kill the ECS API and start a new one, which knows no task and removes the containers of the old one."""
        self._ecs.remove(force=True, v=True)
        self._connect()

    def client(self, service: str) -> Any:
        """Return a boto3 client for this machine."""
        return aws_client(service, self._endpoint if service == "ecs" else self.stack.aws_endpoint)

    def push(self, image: str, repository: str = "airflow-worker") -> str:
        """Push a local image, and return its name in the account's ECR: with the same tag, or ``latest``.

        Raises ServiceError.
        """
        name = image.rpartition("/")[2]
        tag = name.rpartition(":")[2] if ":" in name else "latest"
        try:
            image_push.push(self.stack.client.images.get(image), self.registry, repository, tag)
        except APIError as error:
            raise ServiceError(f"{image} could not be pushed to the local registry: {error.explanation}") from error
        except ServiceError as error:
            raise ServiceError(f"{image} could not be pushed to the local registry: {error}") from error
        return f"{REGISTRY}/{repository}:{tag}"
