"""The commands of ``local.ecs.control``, served under ``/_control/``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from local.ecs.behaviour import STOP_CODES, named_end
from local.ecs.ends import End
from local.ecs.errors import EmulatorError
from local.ecs.operations import OPERATIONS
from local.ecs.quotas import NAMES
from local.ecs.state import Task, as_mapping
from local.ecs.world import World

_OPERATIONS = frozenset(OPERATIONS)


async def command(world: World, name: str, arguments: Mapping[str, Any]) -> Any:
    """Carry out a command and return its result. Raises EmulatorError if it is invalid."""
    if name == "reset":
        await world.reset()
        return None
    handler = _COMMANDS.get(name)
    if handler is None:
        raise EmulatorError(f"There is no command {name!r}. There are: reset, {', '.join(_COMMANDS)}")
    return handler(world, **arguments)


def _configure(world: World, **settings: Any) -> None:
    if "seed" in settings:
        world.faults.chance.seed(settings.pop("seed"))
    fields = world.runner.fields
    behaviour = {name: settings.pop(name) for name in [*settings] if name in fields}
    unknown = sorted(settings.keys() - NAMES)
    if unknown:
        known = ", ".join(sorted([*NAMES, "seed", *fields]))
        raise EmulatorError(f"There is no setting {unknown[0]!r}. There are: {known}")
    world.account.settings.change(settings, _OPERATIONS)
    world.capacity.settle()
    if behaviour:
        world.runner.behave(None, None, behaviour)


def _behave(world: World, match: str | None, times: int | None, behaviour: Mapping[str, Any]) -> None:
    world.runner.behave(match, times, behaviour)


def _fault(world: World, operation: str, kind: str, details: Mapping[str, Any]) -> None:
    world.faults.add(operation, kind, details, _OPERATIONS)


def _clear_faults(world: World) -> None:
    world.faults.clear()


def _stop_tasks(
    world: World,
    arns: Sequence[str],
    end: str | None = None,
    stop_code: str | None = None,
    reason: str | None = None,
    exit_code: int | None = None,
) -> int:
    if end is not None and stop_code is reason is None:
        what = named_end(end)
    elif end is not None or stop_code is None or reason is None:
        raise EmulatorError("stop_tasks needs an end, or a stop_code and a reason")
    elif stop_code not in STOP_CODES:
        raise EmulatorError(f"There is no stop code {stop_code!r}. There are: {', '.join(STOP_CODES)}")
    else:
        what = End(stop_code, reason, "")
    if exit_code is not None:
        what = replace(what, exit_code=exit_code)
    tasks = [_task(world, arn) for arn in arns]
    running = next((task.arn for task in tasks if task.started_at is not None), None)
    if running is not None and not what.started:
        raise EmulatorError(f"A task that has started cannot end with {end}: {running}")
    return sum([world.lifecycle.stop(task, what) for task in tasks])


def _finish(world: World, arn: str, exit_code: int) -> None:
    world.runner.finish(_task(world, arn), exit_code)


def _task(world: World, arn: str) -> Task:
    """Return a task by its ARN, or its id in any cluster."""
    found = world.account.find_task(arn)
    if found is None:
        found = next((cluster.tasks[arn] for cluster in world.account.clusters.values() if arn in cluster.tasks), None)
    if found is None:
        raise EmulatorError(f"There is no task {arn}, or it has been forgotten")
    return found


def _tasks(world: World, fields: Sequence[str] | None) -> list[dict[str, Any]]:
    world.account.forget_old()
    records = [_record(task) for task in world.account.launched]
    if fields is None:
        return records
    try:
        return [{name: record[name] for name in fields} for record in records]
    except KeyError as error:
        raise EmulatorError(f"Tasks have no {error}. They have: {', '.join(records[0])}") from None


def _record(task: Task) -> dict[str, Any]:
    """Return everything about a task, in a form made for tests."""
    override: dict[str, Any] = next(
        (item for item in task.overrides["containerOverrides"] if item.get("name") == task.main.name), {}
    )
    return {
        "arn": task.arn,
        "cluster": task.cluster.name,
        "taskDefinition": task.definition.arn,
        "request": task.request,
        "container": task.main.name,
        "command": override.get("command"),
        "environment": as_mapping(override.get("environment", ())),
        "tags": as_mapping(task.tags, "key"),
        "startedBy": task.started_by,
        "lastStatus": task.last_status,
        "desiredStatus": task.desired_status,
        "createdAt": task.created_at,
        "startedAt": task.started_at,
        "stoppingAt": task.stopping_at,
        "containerEndedAt": task.main.ended_at,
        "stoppedAt": task.stopped_at,
        "exitCode": task.main.exit_code,
        "stopCode": task.stop_code,
        "stoppedReason": task.stopped_reason,
        "forgotten": task.id not in task.cluster.tasks,
    }


def _running(world: World) -> int:
    return sum(task.started_at is not None and task.main.ended_at is None for task in world.account.launched)


def _calls(world: World, times: bool) -> dict[str, dict[str, Any]]:
    return {name: calls.describe(times) for name, calls in world.calls.items()}


_COMMANDS: Mapping[str, Callable[..., Any]] = {
    "configure": _configure,
    "behave": _behave,
    "fault": _fault,
    "clear_faults": _clear_faults,
    "stop_tasks": _stop_tasks,
    "finish": _finish,
    "tasks": _tasks,
    "running": _running,
    "calls": _calls,
}
