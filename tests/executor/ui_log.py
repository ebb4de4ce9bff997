"""What Airflow's UI shows of tasks' logs: its own reader, on a new database with one task instance at a time.

    python -m tests.executor.ui_log '[{"state": "running", "arns": [null, "arn:…"], "try": 2, "own": ["…"]}, …]'

``arns``: the external executor ids of the tries, the last of which is in ``state``. ``own``: lines of Airflow's own log
of the try to show. Prints a JSON list with a list of ``[time, text]`` for each; Airflow 2 tells no time apart from the
text.
"""

from __future__ import annotations

import json
import sys
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.models import DagRun, TaskInstance
from airflow.models.taskinstancehistory import TaskInstanceHistory
from airflow.utils.db import initdb
from airflow.utils.log.log_reader import TaskLogReader
from airflow.utils.session import create_session
from airflow_ecs_executor import airflow_compat

_NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


def store(session: Any, arns: list[str | None], state: str) -> None:
    """Write one run with one task instance, and its former tries."""
    for model in (TaskInstanceHistory, TaskInstance, DagRun):
        session.query(model).delete()
    names = {"dag_id": "dag", "run_id": "manual__1"}
    date = "execution_date" if hasattr(DagRun, "execution_date") else "logical_date"
    more = {name: _NOW for name in (date, "run_after") if name in DagRun.__table__.columns}
    session.execute(DagRun.__table__.insert().values(run_type="manual", state="running", **names, **more))
    task = {**names, "task_id": "task", "map_index": -1, "pool": "default_pool", "pool_slots": 1, "hostname": ""}
    newest = {**task, "try_number": len(arns), "external_executor_id": arns[-1], "state": state, "executor_config": {}}
    session.execute(TaskInstance.__table__.insert().values(**newest))
    for number, arn in enumerate(arns[:-1], 1):
        former = {**task, "try_number": number, "external_executor_id": arn, "state": "failed"}
        identifier = TaskInstanceHistory.__table__.columns.get("task_instance_id")
        if identifier is not None:  # of Airflow 3: a text, from 3.2 on a UUID
            former["task_instance_id"] = _type_of(identifier)(str(uuid.uuid4()))
        session.execute(TaskInstanceHistory.__table__.insert().values(**former))


def _type_of(column: Any) -> type:
    try:
        found: type = column.type.python_type
    except NotImplementedError:  # SQLAlchemy 1.4 does not tell it of PostgreSQL's UUID, which takes a text
        found = str
    return found


def record_of(session: Any, try_number: int) -> Any:
    """The record with which Airflow's UI asks for a try's log."""
    found = session.query(TaskInstance).one()
    if airflow_compat.HAS_WORKLOADS and found.try_number != try_number:
        return session.query(TaskInstanceHistory).filter_by(try_number=try_number).one()
    return found


def shown(record: Any, try_number: int, own: list[str]) -> list[tuple[str, str]]:
    """What the reader makes of it."""
    reader = TaskLogReader()
    file = Path(conf.get("logging", "base_log_folder"), reader.log_handler._render_filename(record, try_number))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in own))
    chunks, _ = reader.read_log_chunks(record, try_number, {})
    if airflow_compat.HAS_WORKLOADS:
        return [(entry.timestamp.isoformat() if entry.timestamp else "", _text(entry)) for entry in chunks]
    ((_, text),) = chunks[0]
    return [("", line) for line in text.splitlines()]


def _text(entry: Any) -> str:
    sources = getattr(entry, "sources", None)
    return "\n".join([entry.event, *(sources or ())])


def main() -> None:
    """Show what the argument asks for."""
    initdb()
    answers = []
    for request in json.loads(sys.argv[1]):
        with create_session() as session:
            store(session, request["arns"], request["state"])
            session.commit()
            record = record_of(session, request["try"])
            answers.append(shown(record, request["try"], request.get("own", [])))
    print("\n" + json.dumps(answers))


if __name__ == "__main__":
    main()
