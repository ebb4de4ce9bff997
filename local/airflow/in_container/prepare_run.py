"""Do a scheduler's part for chosen tasks: parse and serialise the DAGs, create the run, queue the tasks.

Runs inside a container of the image. Takes one JSON list as its only argument:
``[{"dag_id": …, "task_id": …, "run_id": …}]``. Prints, behind a marker, one JSON list with the command of each task,
exactly as this Airflow's scheduler hands it to an executor.

Works on Airflow 2.10 and up: what differs between versions is looked up, never compared by version.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from datetime import datetime, timezone
from typing import Any

MARKER = "AIRFLOW_ECS_PREPARED "
RUN_NOT_POSSIBLE = 3


class CannotPrepareError(Exception):
    """A DAG or a task is not there."""


def attribute(path: str) -> Any:
    """Look up ``package.module:name``; modules differ between Airflow versions, and none is on the build host."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def dag_bundles() -> list[Any]:
    """Airflow 3's DAG bundles. Its DAG processor makes their folders importable, some of its commands do not."""
    try:
        manager = attribute("airflow.dag_processing.bundles.manager:DagBundlesManager")
    except ImportError:
        return []
    return list(manager().get_all_dag_bundles())


def serialise_dags() -> None:
    """Parse the DAG folder and write all its DAGs to the database, as ``airflow dags reserialize`` does."""
    for bundle in dag_bundles():
        bundle.initialize()
        sys.path.append(str(bundle.path))
    arguments = attribute("airflow.cli.cli_parser:get_parser")().parse_args(["dags", "reserialize"])
    arguments.func(arguments)


def import_errors(session: Any) -> str:
    """Return what went wrong while the DAG files were parsed."""
    rows = session.query(attribute("airflow.models.errors:ParseImportError")).all()
    return "\n".join(f"{row.filename}: {row.stacktrace}" for row in rows)


def serialised_dag(dag_id: str, session: Any) -> Any:
    """Return a DAG as the database knows it."""
    dag = attribute("airflow.models.serialized_dag:SerializedDagModel").get_dag(dag_id, session=session)
    if dag is None:
        errors = import_errors(session)
        reason = f"The DAG files have import errors:\n{errors}" if errors else "No DAG file has an import error."
        raise CannotPrepareError(f"No DAG {dag_id!r} in the DAG folder. {reason}")
    return dag


def ensure_run(dag_id: str, run_id: str, session: Any) -> Any:
    """Return the DAG run, triggered if it does not exist yet, in state running."""
    model = attribute("airflow.models.dagrun:DagRun")
    now = datetime.now(timezone.utc)
    if not model.find(dag_id=dag_id, run_id=run_id, session=session):
        trigger = attribute("airflow.api.common.trigger_dag:trigger_dag")
        accepted = inspect.signature(trigger).parameters
        given: dict[str, Any] = {"dag_id": dag_id, "run_id": run_id}
        if "triggered_by" in accepted:
            given["triggered_by"] = attribute("airflow.utils.types:DagRunTriggeredByType").TEST
        if "logical_date" in accepted:
            given["logical_date"] = now
        if "replace_microseconds" in accepted:
            given["replace_microseconds"] = False
        trigger(**given)
    (run,) = model.find(dag_id=dag_id, run_id=run_id, session=session)
    run = session.merge(run)
    run.state = "running"
    run.start_date = run.start_date or now
    return run


def queue_task(dag: Any, run: Any, task_id: str, session: Any) -> Any:
    """Put the task instance in state queued for its next try, everything upstream of it in state success."""
    model = attribute("airflow.models.taskinstance:TaskInstance")
    now = datetime.now(timezone.utc)
    if not dag.has_task(task_id):
        raise CannotPrepareError(f"DAG {dag.dag_id!r} has no task {task_id!r}: {', '.join(sorted(dag.task_ids))}")
    upstream = dag.get_task(task_id).get_flat_relative_ids(upstream=True)
    queued = None
    for instance in session.query(model).filter_by(dag_id=dag.dag_id, run_id=run.run_id):
        if instance.task_id in upstream and instance.state != "success":
            instance.state = "success"
            instance.start_date = instance.end_date = now
        elif instance.task_id == task_id and instance.map_index == -1:
            queued = instance
    if queued is None:
        raise CannotPrepareError(f"Run {run.run_id!r} has no unmapped task instance of {task_id!r}")
    if queued.state != "up_for_reschedule":
        queued.try_number = (queued.try_number or 0) + 1
    queued.state = "queued"
    queued.scheduled_dttm = queued.queued_dttm = now
    session.flush()
    queued.refresh_from_task(dag.get_task(task_id))
    return queued


def executor_command(instance: Any) -> list[str]:
    """Return what the scheduler hands to an executor for this task instance."""
    if hasattr(instance, "command_as_list") and not hasattr(instance, "dag_version_id"):
        pickle_id = getattr(instance.dag_model, "pickle_id", None)
        return [str(part) for part in instance.command_as_list(local=True, pickle_id=pickle_id)]
    executor = attribute("airflow.executors.base_executor:BaseExecutor")(parallelism=1)
    workload = attribute("airflow.executors.workloads:ExecuteTask").make(instance, generator=executor.jwt_generator)
    module = "airflow.sdk.execution_time.execute_workload"
    return ["python", "-m", module, "--json-string", workload.model_dump_json()]


def main() -> int:
    """Prepare the runs that the argument describes."""
    serialise_dags()
    prepared = []
    try:
        with attribute("airflow.utils.session:create_session")() as session:
            for task in json.loads(sys.argv[1]):
                dag = serialised_dag(task["dag_id"], session)
                run = ensure_run(task["dag_id"], task["run_id"], session)
                instance = queue_task(dag, run, task["task_id"], session)
                prepared.append({**task, "command": executor_command(instance)})
                session.commit()
    except CannotPrepareError as error:
        print(f"ERROR: {error}", file=sys.stderr, flush=True)
        return RUN_NOT_POSSIBLE
    print(MARKER + json.dumps(prepared), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
