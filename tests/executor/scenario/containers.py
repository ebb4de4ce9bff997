"""Simulated containers that tell Airflow what a real container's task process tells it.

Airflow 3: the Execution API over HTTP, with the token in the workload that the container's command holds, so a token
that would not be accepted fails the scenario. Airflow 2, whose task processes write to the database: the same
requests, to ``database_tasks``, which writes as they do. A container whose report is refused ends with exit code 1, as
a real one does.

Runs in the server's Python, which has no Airflow.
"""

from __future__ import annotations

import asyncio
import json
import os
from datetime import datetime, timezone
from typing import Any, Mapping, Sequence
from urllib.parse import quote

import aiohttp

from local.ecs.simulated import SimulatedRunner
from local.ecs.state import STOPPED, Task
from tests.executor.scenario import TASK_API_VARIABLE

_CONNECTIONS = 16
_ATTEMPTS = 4


class TaskContainers(SimulatedRunner):
    """Containers that report the start and the success of their task instance."""

    def __init__(self) -> None:
        """Where to report to is in the environment."""
        super().__init__()
        self._url = os.environ[TASK_API_VARIABLE]
        self._tokens: dict[str, str] = {}
        self._session: Any = None

    async def started(self, task: Task) -> None:
        """The task process starts."""
        await self._report(
            task,
            "run",
            {
                "state": "running",
                "hostname": task.id,
                "unixname": "airflow",
                "pid": 1,
                "start_date": datetime.now(timezone.utc).isoformat(),
            },
        )

    async def ending(self, task: Task) -> int | None:
        """The task process ends; one that is stopped from outside reports nothing and has SIGTERM's exit code."""
        if task.desired_status == STOPPED:
            return None
        await self._report(task, "state", {"state": "success", "end_date": datetime.now(timezone.utc).isoformat()})
        return 0

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _report(self, task: Task, what: str, payload: Mapping[str, Any]) -> None:
        """Send a report, and again when nobody could take it, as the Task SDK does."""
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_CONNECTIONS))
        instance, token = task_of(_command(task))
        url = f"{self._url.rstrip('/')}/task-instances/{quote(instance, safe='')}/{what}"
        headers = {"Authorization": f"Bearer {self._tokens.get(task.id, token)}"}
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with self._session.patch(url, json=payload, headers=headers) as answer:
                    text = await answer.text()
                    if answer.status < 500:
                        break
            except aiohttp.ClientError as error:
                text = repr(error)
            if attempt == _ATTEMPTS:
                raise RuntimeError(f"{what} of {instance} could not be reported: {text}")
            await asyncio.sleep(0.5 * attempt)
        if answer.status >= 400:
            raise RuntimeError(f"{what} of {instance} was refused: {answer.status} {text}")
        renewed = answer.headers.get("Refreshed-API-Token")
        if renewed:  # the token of the workload is good for the start alone
            self._tokens[task.id] = renewed


def _command(task: Task) -> Sequence[str]:
    """The command that the executor gave to the container."""
    overrides: Sequence[Mapping[str, Any]] = task.overrides["containerOverrides"]
    command: Sequence[str] = next(item["command"] for item in overrides if item["name"] == task.main.name)
    return command


def task_of(command: Sequence[str]) -> tuple[str, str]:
    """The id by which a command's task instance is reported, and its token.

    Airflow 2 has no ids: the JSON array of DAG, task, run and map index takes its place.
    """
    if command[0] == "airflow":
        index = int(command[list(command).index("--map-index") + 1]) if "--map-index" in command else -1
        return json.dumps([*command[3:6], index]), ""
    workload = json.loads(command[-1])
    return workload["ti"]["id"], workload["token"]
