"""The RunTask request of a launch, made from the workload, the settings, the task definition and its image.

Runs in launcher threads: the scheduler never waits for ECS, the image's registry, S3 or the database.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, Callable, NamedTuple

from airflow_ecs_executor.airflow_side import AirflowSide
from airflow_ecs_executor.aws.errors import ErrorKind, classify
from airflow_ecs_executor.aws.identity import IDENTITY_VARIABLE, Deployment, tags_of
from airflow_ecs_executor.aws.workload_store import MAX_BYTES, StoredArguments
from airflow_ecs_executor.checks.images import IncompatibleImageError
from airflow_ecs_executor.config import options
from airflow_ecs_executor.config.settings import Settings, with_cluster_default
from airflow_ecs_executor.launching.launch import Launch
from airflow_ecs_executor.launching.request import (
    ExecutorConfigError,
    build_run_task,
    check_length,
    is_too_long,
    set_command,
)
from airflow_ecs_executor.services import Services

log = logging.getLogger("airflow_ecs_executor")

_TOKEN_AGE = 60.0
"""Seconds after which a queued workload gets a new token before it is launched."""


class UnlaunchableError(Exception):
    """No request can be made from a workload; the message is for the author of the DAG."""


class BuiltRequest(NamedTuple):
    """What `RequestBuilder.build` returns."""

    parameters: dict[str, Any]
    """All parameters of RunTask but the client token."""
    arguments: StoredArguments | None
    """What has to be stored before the request is sent."""


class RequestBuilder:
    """Makes the requests of one executor."""

    def __init__(
        self,
        settings: Settings,
        services: Services,
        airflow: AirflowSide,
        deployment: Deployment,
        generator: Callable[[], Any],
    ) -> None:
        """Make no call yet. ``generator`` returns what makes Airflow 3's tokens."""
        self._settings = settings
        self._airflow = airflow
        self._ecs = services.ecs
        self._image_checks = services.image_checks
        self._store = services.store
        self._deployment = deployment
        self._generator = generator
        self._settling = threading.Lock()

    def build(self, launch: Launch, tags: bool) -> BuiltRequest:
        """Make the request of a launch. Raises UnlaunchableError, and what botocore and SQLAlchemy raise."""
        command, executor_config = self._command_and_config(launch)
        settings = self._settled_settings()
        try:
            request = build_run_task(
                settings,
                command,
                executor_config,
                environment={IDENTITY_VARIABLE: self._deployment.identity_of(launch.key)},
                started_by=self._deployment.started_by,
                tags=tags_of(launch.key) if settings.task_instance_tags else [],
            )
            request["taskDefinition"] = self._image_checks.resolve(request["taskDefinition"])
            arguments = self._shorten(launch, request, command)
        except ExecutorConfigError as error:
            raise UnlaunchableError(f"The task's executor_config cannot be used: {error}") from None
        except IncompatibleImageError as error:
            raise UnlaunchableError(" ".join(str(error).split())) from None
        if not tags:
            request.pop("tags", None)
            request.pop("propagateTags", None)
        return BuiltRequest(request, arguments)

    def _command_and_config(self, launch: Launch) -> tuple[list[str], object]:
        generator = self._generator()
        queued = launch.workload or self._airflow.load_workload(launch.key, generator)
        if queued is None:
            raise UnlaunchableError(
                "The task instance cannot be launched again: Airflow has started another try of it, or removed it."
            )
        old = launch.attempts > 0 or launch.relaunches > 0 or time.monotonic() - launch.created > _TOKEN_AGE
        return self._airflow.command_of(queued.workload, generator, renew_token=old), queued.executor_config

    def _shorten(self, launch: Launch, request: dict[str, Any], command: list[str]) -> StoredArguments | None:
        """Move the command's arguments to S3, if that is configured and needed; check the length of the overrides."""
        name, store = self._deployment.container_name, self._store
        if store is None or not (self._settings.workload_s3_use == options.ALWAYS or is_too_long(request)):
            check_length(name, request)
            return None
        if self._image_checks.is_foreign(request["taskDefinition"]):
            raise UnlaunchableError(
                f"The arguments of this task have to go through {self._settings.workload_s3_uri}, and the image of "
                f"{request['taskDefinition']} was not built by this project: it would not read them from there. Build "
                "the image with build.py, or shorten the overrides in executor_config."
            )
        arguments = store.prepare(self._deployment.identity_of(launch.key), command)
        set_command(name, request, arguments.command)
        check_length(name, request)
        if len(arguments.body) > MAX_BYTES:
            raise UnlaunchableError(
                f"The arguments of this task are {len(arguments.body):,} bytes long; at most {MAX_BYTES:,} can be "
                "stored. Move long values in executor_config to a file or a secret."
            )
        return arguments

    def store(self, arguments: StoredArguments) -> None:
        """Store the arguments that a request points to.

        Raises UnlaunchableError if they can never be stored there. If botocore raises, they may be stored all the same.
        """
        if self._store is None:
            return
        try:
            self._store.put(arguments)
        except Exception as exception:
            error = classify(exception)
            if error.kind is not ErrorKind.PERMANENT or error.defect:
                raise
            raise UnlaunchableError(
                f"The arguments of this task cannot be stored in {self._settings.workload_s3_uri}: {error.reason}. "
                f"Allow the scheduler's role {error.action or 's3:PutObject'} there, or correct "
                f"{options.WORKLOAD_S3_URI}."
            ) from None

    def discard(self, uri: str) -> None:
        """Remove arguments that no container has read. Raises what botocore raises."""
        if self._store is not None:
            self._store.remove(uri)

    def _settled_settings(self) -> Settings:
        """Ask the cluster once for its default capacity providers, if no launch type is configured."""
        with self._settling:
            settings = self._settings
            if not settings.use_cluster_default:
                return settings
            try:
                strategy = self._ecs.default_capacity_providers()
            except Exception as exception:
                error = classify(exception)
                if error.kind is not ErrorKind.PERMANENT or error.defect:
                    raise
                log.warning("Tasks are launched with launch type FARGATE: %s", error.reason)
                strategy = []
            settled = with_cluster_default(settings, strategy)
            for warning in settled.warnings[len(settings.warnings) :]:
                log.warning("%s", warning)
            self._settings = settled
            return settled
