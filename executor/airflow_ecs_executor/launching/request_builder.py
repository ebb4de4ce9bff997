"""The RunTask request of a launch: from the workload, the settings, and what is known of task definition and image.

Runs in launcher threads: here the scheduler does not wait for ECS, the image's registry, S3 or the database.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, Callable

from airflow_ecs_executor.airflow_side import AirflowSide
from airflow_ecs_executor.aws.errors import ErrorKind, classify
from airflow_ecs_executor.aws.identity import IDENTITY_VARIABLE, identity_of, tags_of
from airflow_ecs_executor.aws.workload_store import MAX_BYTES
from airflow_ecs_executor.checks.images import IncompatibleImageError
from airflow_ecs_executor.config import options
from airflow_ecs_executor.config.settings import Settings, with_cluster_default
from airflow_ecs_executor.launching.ledger import Launch
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
"""Seconds after which a queued workload's token is made anew before it is launched."""


class Unlaunchable(Exception):
    """A workload that no request can be made of; the message is for the author of the DAG."""


class RequestBuilder:
    """Makes the requests of one executor."""

    def __init__(
        self,
        settings: Settings,
        services: Services,
        airflow: AirflowSide,
        *,
        deployment: str,
        started_by: str,
        generator: Callable[[], Any],
    ) -> None:
        """``generator`` gives what makes Airflow 3's tokens."""
        self._settings = settings
        self._airflow = airflow
        self._ecs = services.ecs
        self._image_checks = services.image_checks
        self._store = services.store
        self._deployment = deployment
        self._started_by = started_by
        self._generator = generator
        self._settling = threading.Lock()

    def build(self, launch: Launch, tags: bool) -> dict[str, Any]:
        """Make the request of a launch, complete but for its client token, with or without tags.

        Raises Unlaunchable if none can be made, and what botocore and SQLAlchemy raise while that is not known.
        """
        command, executor_config = self._command_and_config(launch)
        settings = self._settled_settings()
        try:
            request = build_run_task(
                settings,
                command,
                executor_config,
                environment={IDENTITY_VARIABLE: identity_of(self._deployment, launch.key)},
                started_by=self._started_by,
                tags=tags_of(launch.key) if settings.task_instance_tags else [],
            )
            request["taskDefinition"] = self._image_checks.resolve(request["taskDefinition"])
            self._fit(launch, request, command)
        except ExecutorConfigError as error:
            raise Unlaunchable(f"The task's executor_config cannot be used: {error}") from None
        except IncompatibleImageError as error:
            raise Unlaunchable(" ".join(str(error).split())) from None
        if not tags:
            request.pop("tags", None)
            request.pop("propagateTags", None)
        return request

    def _command_and_config(self, launch: Launch) -> tuple[list[str], Any]:
        workload, executor_config = launch.workload, launch.executor_config
        generator = self._generator()
        if workload is None:
            loaded = self._airflow.load_workload(launch.key, generator)
            if loaded is None:
                raise Unlaunchable("The task instance cannot be launched again: Airflow has moved it on.")
            workload, executor_config = loaded
        old = launch.attempts > 0 or launch.relaunches > 0 or time.monotonic() - launch.created > _TOKEN_AGE
        return self._airflow.command_of(workload, generator, renew_token=old), executor_config

    def _fit(self, launch: Launch, request: dict[str, Any], command: list[str]) -> None:
        """Put the command's arguments into S3, if that is configured and needed; hold the length of the overrides."""
        name, store = self._settings.container_name, self._store
        if store is None or not (self._settings.workload_s3_use == options.ALWAYS or is_too_long(request)):
            check_length(name, request)
            return
        if self._image_checks.is_foreign(request["taskDefinition"]):
            raise Unlaunchable(
                f"The arguments of this task have to go through {self._settings.workload_s3_uri}, and the image of "
                f"{request['taskDefinition']} is not of this project: it would not read them from there. Build it with "
                "build.py, or shorten what the overrides hold."
            )
        stored = store.prepare(identity_of(self._deployment, launch.key), command)
        set_command(name, request, stored.command)
        check_length(name, request)
        if len(stored.body) > MAX_BYTES:
            raise Unlaunchable(
                f"The arguments of this task are {len(stored.body):,} bytes long; at most {MAX_BYTES:,} can be handed "
                "over. Move what is long in executor_config to a file or a secret."
            )
        launch.stored = stored.uri  # also of a call whose answer does not come
        try:
            store.put(stored)
        except Exception as exception:
            error = classify(exception)
            if error.kind is not ErrorKind.PERMANENT:
                raise
            launch.stored = None
            action = error.action or "s3:PutObject"
            raise Unlaunchable(
                f"The arguments of this task cannot be stored in {self._settings.workload_s3_uri}: {error.reason}. "
                f"Allow the scheduler's role {action} there, or correct [airflow_ecs_executor] workload_s3_uri."
            ) from None

    def discard(self, uri: str) -> None:
        """Remove arguments that no container has read. Raises what botocore raises."""
        if self._store is not None:
            self._store.remove(uri)

    def _settled_settings(self) -> Settings:
        """Ask the cluster, once, for its default capacity providers, when no launch type was configured."""
        with self._settling:
            settings = self._settings
            if not settings.use_cluster_default:
                return settings
            try:
                strategy = self._ecs.default_capacity_providers()
            except Exception as exception:
                error = classify(exception)
                if error.kind is not ErrorKind.PERMANENT:
                    raise
                log.warning("Tasks are launched with launch type FARGATE: %s", error.reason)
                strategy = []
            settled = with_cluster_default(settings, strategy)
            for warning in settled.warnings[len(settings.warnings) :]:
                log.warning("%s", warning)
            self._settings = settled
            return settled
