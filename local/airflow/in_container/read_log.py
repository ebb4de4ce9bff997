"""Read a task's log as Airflow's UI does: by its own reader, with the settings of this container.

Runs inside a container of the image, on the scheduler's side. Takes one JSON object as its only argument:
``{"dag_id": …, "task_id": …, "run_id": …}``. Prints, behind a marker, the log of its newest try as one JSON text.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

MARKER = "AIRFLOW_ECS_LOG "


def attribute(path: str) -> Any:
    """Look up ``package.module:name``; no Airflow is on the build host."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def text_of(chunks: Any) -> str:
    """Return the text of what the reader returns: pairs of host and text on Airflow 2, objects on Airflow 3."""
    if isinstance(chunks, list):
        return "\n".join(text for pairs in chunks for _, text in pairs)
    return "\n".join(entry.model_dump_json() for entry in chunks)


def main() -> int:
    """Print the log of the task that the argument names."""
    task = json.loads(sys.argv[1])
    with attribute("airflow.utils.session:create_session")() as session:
        instance = session.query(attribute("airflow.models.taskinstance:TaskInstance")).filter_by(**task).one()
        reader = attribute("airflow.utils.log.log_reader:TaskLogReader")()
        chunks, _ = reader.read_log_chunks(instance, instance.try_number, {})
        print("\n" + MARKER + json.dumps(text_of(chunks)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
