"""Runs of DAGs in a deployment, and what ECS was asked to do for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from local.airflow.ecs_deployment import BUCKET, EcsDeployment
from local.airflow.rest_api import TaskInstance
from local.ecs.containers.runner import TASK_LABEL
from local.machine.waiting import until

_SHOWN_SECONDS = 30.0
_LAST_LINES = 20


@dataclass
class Run:
    """One run of a DAG."""

    deployment: EcsDeployment
    dag_id: str
    run_id: str

    def wait(self, timeout: float = 300.0) -> str:
        """The state it ends in."""
        return self.deployment.airflow.api.wait_for_run(self.dag_id, self.run_id, timeout, pause=0.5)

    def instances(self) -> list[TaskInstance]:
        """Its task instances."""
        return self.deployment.airflow.api.task_instances(self.dag_id, self.run_id)

    def states(self) -> dict[str, list[str]]:
        """The states of its task instances by task."""
        found: dict[str, list[str]] = {}
        for instance in self.instances():
            found.setdefault(instance.task_id, []).append(instance.state)
        return found

    def states_of(self, task_id: str) -> list[str]:
        """The states of one task's instances; none before it is there."""
        return self.states().get(task_id, [])

    def until(self, task_id: str, *states: str, timeout: float = 180.0) -> TaskInstance:
        """Wait until a task is in one of the states."""
        return self.deployment.airflow.api.wait_for_state(self.dag_id, self.run_id, task_id, states, timeout=timeout)

    def xcom(self, task_id: str, **which: Any) -> Any:
        """What a task has returned."""
        return self.deployment.airflow.api.xcom(self.dag_id, self.run_id, task_id, **which)

    def until_log(self, task_id: str, words: str, *, try_number: int = 1, map_index: int = -1) -> None:
        """Wait until the UI's log of a task has these words: it is written after the task's state."""
        self.deployment.airflow.api.wait_for_log(
            self.dag_id,
            self.run_id,
            task_id,
            words,
            try_number=try_number,
            map_index=map_index,
            timeout=_SHOWN_SECONDS,
        )

    def until_event(self, task_id: str, words: str) -> None:
        """Wait until the UI's audit log of a task has these words."""
        text = ""

        def told() -> bool:
            nonlocal text
            found = self.deployment.airflow.api.event_logs(self.dag_id, self.run_id)
            text = "\n".join(f"{event['event']}: {event['extra']}" for event in found if event["task_id"] == task_id)
            return words in text

        what = f"{words!r} in the event log of {self.dag_id}.{task_id}"
        until(told, _SHOWN_SECONDS, what, explain=lambda: f"it has: {text}")

    def let_go(self) -> None:
        """Let those of its tasks end that wait for a sign, as ``e2e_sign`` has it."""
        s3 = self.deployment.aws.client("s3")
        s3.put_object(Bucket=BUCKET, Key=f"go/{self.run_id}", Body=b"", ACL="public-read")  # tasks ask without a login

    def ecs_tasks(self) -> list[dict[str, Any]]:
        """The ECS tasks that were launched for it, in order."""
        tasks = self.deployment.aws.ecs.tasks()
        return [task for task in tasks if task["tags"].get("airflow:run_id") == self.run_id]

    def launches(self) -> str:
        """What became of each, for people: with the last lines of those that failed."""
        members = ("createdAt", "startedAt", "containerEndedAt", "exitCode", "stopCode", "stoppedReason")
        lines = []
        for task in self.ecs_tasks():
            tags = task["tags"]
            name = f"{tags['airflow:task_id']}[{tags.get('airflow:map_index')}] try {tags['airflow:try_number']}"
            lines.append(f"{name}: " + ", ".join(f"{member} {task[member]}" for member in members))
            if task["exitCode"] != 0:
                lines += self.deployment.container_log(task["arn"]).splitlines()[-_LAST_LINES:]
        return "\n".join(lines)

    def running(self) -> list[dict[str, Any]]:
        """Those whose containers run."""
        return [task for task in self.ecs_tasks() if task["startedAt"] and not task["containerEndedAt"]]

    def exit_codes(self, task_id: str) -> list[int | None]:
        """Those of a task's containers, in the order of their launches."""
        return [task["exitCode"] for task in self.ecs_tasks() if task["tags"]["airflow:task_id"] == task_id]

    def wait_until_gone(self, timeout: float = 60.0) -> None:
        """Wait until every ECS task of it has come to its end, and nothing of it is left on the engine."""

        def gone() -> bool:
            tasks = self.ecs_tasks()
            ids = {task["arn"].rpartition("/")[2] for task in tasks}
            docker = self.deployment.stack.client
            found = docker.containers.list(all=True, filters={"label": TASK_LABEL}, ignore_removed=True)
            return all(task["lastStatus"] == "STOPPED" for task in tasks) and not ids.intersection(
                container.labels[TASK_LABEL] for container in found
            )

        until(gone, timeout, f"no container of {self.dag_id} is left")


class Runs:
    """Starts runs; a DAG is unpaused by its first one."""

    def __init__(self, deployment: EcsDeployment) -> None:
        """Nothing is started yet."""
        self._deployment = deployment

    def start(self, dag_id: str, **conf: Any) -> Run:
        """Start a run with this configuration."""
        api = self._deployment.airflow.api
        api.wait_for_dags([dag_id])
        api.unpause(dag_id)
        return Run(self._deployment, dag_id, api.trigger(dag_id, conf=conf))
