"""What a task process of Airflow 2 writes to the database, as a service for the simulated containers.

Its requests are those of Airflow 3's Execution API that ``containers`` uses. ``airflow tasks run --local`` writes, when
it starts: its own job, and the task instance as running if it is still queued; when it ends, the result of both.
"""

from __future__ import annotations

import json
import threading
from typing import Any, Mapping
from urllib.parse import unquote

import psycopg2

from local.fakes.http_service import Answer, Connection, HttpService, Request

_KEY = "dag_id = %s AND task_id = %s AND run_id = %s AND map_index = %s"


class DatabaseTasks(HttpService):
    """Serves until the block ends."""

    def __init__(self, dsn: str) -> None:
        """No connection to the database is made yet."""
        super().__init__()
        self._dsn = dsn
        self._local = threading.local()
        self._connections: list[Any] = []

    def __exit__(self, *error: Any) -> None:
        """Stop serving, and leave the database."""
        super().__exit__(*error)
        for connection in self._connections:
            connection.close()

    def serve(self, request: Request, connection: Connection) -> None:
        """Answer a report."""
        _, _, instance, what = request.target.split("/")
        status, text = self.report(json.loads(unquote(instance)), what, json.loads(request.body))
        connection.send(Answer(status, {}, text.encode()))

    def report(self, key: list[Any], what: str, payload: Mapping[str, Any]) -> tuple[int, str]:
        """Write one report; a status and a text as HTTP answers them."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = psycopg2.connect(self._dsn)
            self._connections.append(connection)
        with connection, connection.cursor() as cursor:
            return self._start(cursor, key, payload) if what == "run" else self._end(cursor, key, payload)

    @staticmethod
    def _start(cursor: Any, key: list[Any], payload: Mapping[str, Any]) -> tuple[int, str]:
        cursor.execute(f"SELECT state, try_number FROM task_instance WHERE {_KEY} FOR UPDATE", key)
        state, try_number = cursor.fetchone() or (None, None)
        if state != "queued":
            return 409, f"The task instance is {state}"
        names = (payload["hostname"], payload["unixname"])
        cursor.execute(
            "INSERT INTO job (dag_id, state, job_type, start_date, latest_heartbeat, hostname, unixname) "
            "VALUES (%s, 'running', 'LocalTaskJob', now(), now(), %s, %s) RETURNING id",
            [key[0], *names],
        )
        (job,) = cursor.fetchone()
        cursor.execute(
            "UPDATE task_instance SET state = 'running', start_date = %s, end_date = NULL, duration = NULL, "
            f"hostname = %s, unixname = %s, pid = %s, job_id = %s, updated_at = now() WHERE {_KEY}",
            [payload["start_date"], *names, payload["pid"], job, *key],
        )
        _log(cursor, "running", key, try_number)
        return 200, "{}"

    @staticmethod
    def _end(cursor: Any, key: list[Any], payload: Mapping[str, Any]) -> tuple[int, str]:
        cursor.execute(f"SELECT state, try_number, job_id FROM task_instance WHERE {_KEY} FOR UPDATE", key)
        state, try_number, job = cursor.fetchone() or (None, None, None)
        if state != "running":
            return 409, f"The task instance is {state}"
        ended = payload["end_date"]
        cursor.execute(
            "UPDATE task_instance SET state = %s, end_date = %s, updated_at = now(), "
            f"duration = extract(epoch FROM %s::timestamptz - start_date) WHERE {_KEY}",
            [payload["state"], ended, ended, *key],
        )
        cursor.execute("UPDATE job SET state = 'success', end_date = %s WHERE id = %s", [ended, job])
        _log(cursor, payload["state"], key, try_number)
        return 200, "{}"


def _log(cursor: Any, event: str, key: list[Any], try_number: int) -> None:
    cursor.execute(
        "INSERT INTO log (dttm, dag_id, task_id, run_id, map_index, event, owner, try_number) "
        "VALUES (now(), %s, %s, %s, %s, %s, 'airflow', %s)",
        [*key, event, try_number],
    )
