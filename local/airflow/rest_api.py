"""Client of Airflow's REST API: ``/api/v1`` of Airflow 2 and ``/api/v2`` of Airflow 3."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests

from local.airflow.log_lines import readable
from local.errors import NoAnswerError, ServiceError
from local.machine.waiting import until

_TIMEOUT = 30.0  # seconds for one request
_PAGE = 100  # what every Airflow gives at most by default
_WAIT = 120.0  # seconds until a part is ready
_FINISHED = frozenset({"success", "failed"})


class RestApiError(ServiceError):
    """Airflow refused a request."""


@dataclass(frozen=True)
class TaskInstance:
    """A task instance as the UI shows it; ``map_index`` is -1 where a task is not mapped."""

    task_id: str
    map_index: int
    state: str
    """``success``, ``failed``, ``running``, ``deferred`` …; an empty text while nothing is scheduled."""
    try_number: int


class RestApi:
    """The API of one Airflow, for one user.

    Methods raise RestApiError if Airflow refuses a request, and NoAnswerError if it does not answer.
    """

    def __init__(self, address: str, user: str, password: str) -> None:
        """``address`` is that of the webserver or API server: ``http://127.0.0.1:8080``. Nothing is asked yet."""
        self.address = address.rstrip("/")
        self._user = user
        self._password = password
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy, no .netrc
        self._version = 0
        self._token = ""

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    # Differences between Airflow 2 and 3

    @property
    def version(self) -> int:
        """The version of the API: 1 on Airflow 2, 2 on Airflow 3."""
        if not self._version:
            for version in (2, 1):
                if self._send("GET", f"/api/v{version}/version").status_code == 200:
                    self._version = version
                    break
            else:
                raise RestApiError(f"{self.address} answers neither as Airflow 2 nor as Airflow 3")
        return self._version

    @property
    def _health_path(self) -> str:
        return "/api/v1/health" if self.version == 1 else "/api/v2/monitor/health"

    def _authorised(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request with basic authentication (Airflow 2) or a token (3), which is renewed when it has expired."""
        if self.version == 1:
            return self._send(method, path, auth=(self._user, self._password), **options)
        headers = options.pop("headers", {})
        response = None
        for _ in range(2):
            if not self._token:
                self._token = self._new_token()
            response = self._send(
                method, path, headers={**headers, "Authorization": f"Bearer {self._token}"}, **options
            )
            if response.status_code != 401:
                break
            self._token = ""
        assert response is not None
        return response

    def _new_token(self) -> str:
        credentials = {"username": self._user, "password": self._password}
        answer = _checked(self._send("POST", "/auth/token", json=credentials)).json()
        return str(answer["access_token"])

    def _send(self, method: str, path: str, **options: Any) -> requests.Response:
        try:
            return self._session.request(method, self.address + path, timeout=_TIMEOUT, **options)
        except requests.exceptions.RequestException as error:
            raise NoAnswerError(f"Airflow at {self.address} did not answer {method} {path}: {error}") from error

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Return the JSON response to ``request("GET", "/pools")``; the options are those of requests."""
        response = _checked(self._authorised(method, f"/api/v{self.version}{path}", **options))
        return response.json() if response.content else None

    def _pages(self, path: str, key: str, **parameters: Any) -> list[dict[str, Any]]:
        """Return all entries of a collection."""
        found: list[dict[str, Any]] = []
        while True:
            answer = self.request("GET", path, params={**parameters, "limit": _PAGE, "offset": len(found)})
            found += answer[key]
            if not answer[key] or len(found) >= answer["total_entries"]:
                return found

    # The deployment

    def health(self) -> dict[str, str]:
        """Return the health of each component that this Airflow runs, such as ``{"scheduler": "healthy"}``."""
        answer = _checked(self._send("GET", self._health_path)).json()
        return {part: said["status"] for part, said in answer.items() if said and said.get("status")}

    def wait_until_healthy(self) -> None:
        """Wait until database and scheduler are healthy."""

        def healthy() -> bool:
            found = self.health()
            return found.get("metadatabase") == found.get("scheduler") == "healthy"

        until(healthy, _WAIT, f"database and scheduler healthy at {self.address}")

    def import_errors(self) -> dict[str, str]:
        """Return what went wrong in each DAG file that could not be loaded, by its path."""
        return {found["filename"]: found["stack_trace"] for found in self._pages("/importErrors", "import_errors")}

    # DAGs and runs

    def dag_ids(self) -> list[str]:
        """Return the DAGs that Airflow knows, by name."""
        return sorted(found["dag_id"] for found in self._pages("/dags", "dags"))

    def wait_for_dags(self, dag_ids: Sequence[str]) -> None:
        """Wait until DAGs are loaded; a DAG file that cannot be loaded ends the waiting."""

        def loaded() -> bool:
            missing = set(dag_ids) - set(self.dag_ids())
            errors = self.import_errors() if missing else {}
            if errors:
                told = "\n".join(f"{path}:\n{error.rstrip()}" for path, error in errors.items())
                raise RestApiError(f"DAG files could not be loaded:\n{told}")
            return not missing

        until(loaded, _WAIT, f"loaded: {', '.join(dag_ids)}")

    def unpause(self, dag_id: str) -> None:
        """Unpause a DAG."""
        self.request("PATCH", f"/dags/{quote(dag_id)}", json={"is_paused": False})

    def trigger(self, dag_id: str, *, conf: Mapping[str, Any] | None = None, run_id: str | None = None) -> str:
        """Trigger a run of a DAG and return its id. The DAG must be loaded and unpaused."""
        run_id = run_id or f"manual__{secrets.token_hex(4)}"
        body: dict[str, Any] = {"dag_run_id": run_id, "conf": dict(conf or {})}
        if self.version > 1:
            body["logical_date"] = None  # must be said there
        self.request("POST", f"/dags/{quote(dag_id)}/dagRuns", json=body)
        return run_id

    def run_state(self, dag_id: str, run_id: str) -> str:
        """``queued``, ``running``, ``success`` or ``failed``."""
        return str(self.request("GET", _run(dag_id, run_id))["state"])

    def wait_for_run(
        self,
        dag_id: str,
        run_id: str,
        timeout: float = 300.0,
        *,
        pause: float = 0.3,
        on_look: Callable[[Sequence[TaskInstance]], None] | None = None,
    ) -> str:
        """Wait until a run has ended, and return its state: ``success`` or ``failed``.

        It is looked at every ``pause`` seconds; ``on_look`` is shown its task instances each time, at last those of
        its end.
        """

        def ended() -> str | None:
            state = self.run_state(dag_id, run_id)
            if on_look is not None:
                on_look(self.task_instances(dag_id, run_id))
            return state if state in _FINISHED else None

        what = f"the run {run_id} of {dag_id} ended"
        return until(ended, timeout, what, pause=pause, explain=lambda: self._summary(dag_id, run_id))

    def _summary(self, dag_id: str, run_id: str) -> str:
        found = self.task_instances(dag_id, run_id)
        return ", ".join(f"{one.task_id}[{one.map_index}] {one.state or 'none'}" for one in found)

    # Task instances

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """Return all task instances of a run, by task and map index."""
        entries = self._pages(f"{_run(dag_id, run_id)}/taskInstances", "task_instances")
        return sorted((_task_instance(entry) for entry in entries), key=lambda one: (one.task_id, one.map_index))

    def task_instance(self, dag_id: str, run_id: str, task_id: str) -> TaskInstance:
        """Return a task instance that is not mapped."""
        return _task_instance(self.request("GET", f"{_run(dag_id, run_id)}/taskInstances/{quote(task_id)}"))

    def wait_for_state(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        states: Sequence[str],
        *,
        timeout: float = _WAIT,
    ) -> TaskInstance:
        """Wait until a task instance is in one of the states, and return it."""

        def reached() -> TaskInstance | None:
            found = self.task_instance(dag_id, run_id, task_id)
            return found if found.state in states else None

        what = f"{dag_id}.{task_id} {' or '.join(states)}"
        return until(reached, timeout, what, explain=lambda: self._summary(dag_id, run_id))

    def xcom(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Any:
        """Return the result of a task."""
        # Without `stringify`, Airflow 2 gives Python's notation instead of the value.
        parameters = {"map_index": map_index, "stringify": "false"}
        path = f"{_run(dag_id, run_id)}/taskInstances/{quote(task_id)}/xcomEntries/return_value"
        return self.request("GET", path, params=parameters)["value"]

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int, map_index: int = -1) -> str:
        """Return the log of a try as text, one line for each entry."""
        path = f"/api/v{self.version}{_run(dag_id, run_id)}/taskInstances/{quote(task_id)}/logs/{try_number}"
        parameters = {"full_content": "true", "map_index": map_index}
        accepted = "text/plain" if self.version == 1 else "application/json"
        response = _checked(self._authorised("GET", path, params=parameters, headers={"Accept": accepted}))
        if self.version == 1:
            return str(response.content.decode(errors="replace"))
        content = response.json()["content"]
        entries = content if isinstance(content, list) else str(content).splitlines()
        return "\n".join(readable(entry) if isinstance(entry, dict) else str(entry) for entry in entries)

    def wait_for_log(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        words: str,
        *,
        try_number: int = 1,
        map_index: int = -1,
        timeout: float = 60.0,
    ) -> str:
        """Wait until the log of a try has these words, and return it.

        A container writes its log to S3 a moment after its task has told its state. Raises ServiceError with what
        was there instead after ``timeout`` seconds.
        """
        text = ""

        def written() -> bool:
            nonlocal text
            text = self.log(dag_id, run_id, task_id, try_number, map_index)
            return words in text

        what = f"{words!r} in the log of {dag_id}.{task_id}"
        until(written, timeout, what, explain=lambda: f"it has: {text[-500:]}")
        return text

    def event_logs(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the event log entries of a run, oldest first, such as ``{"event": …, "extra": …, "task_id": …}``."""
        found = self._pages("/eventLogs", "event_logs", dag_id=dag_id, run_id=run_id)
        return sorted(found, key=lambda event: int(event["event_log_id"]))

    def set_state(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Mark a task instance as ``success`` or ``failed``. Airflow ends a running one, as for the UI's button."""
        body = {"new_state": state, **({"dry_run": False} if self.version == 1 else {})}
        self.request("PATCH", f"{_run(dag_id, run_id)}/taskInstances/{quote(task_id)}", json=body)


def _run(dag_id: str, run_id: str) -> str:
    return f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"


def _task_instance(entry: Mapping[str, Any]) -> TaskInstance:
    return TaskInstance(
        entry["task_id"],
        int(entry["map_index"]),
        entry["state"] or "",
        int(entry["try_number"]),
    )


def _checked(response: requests.Response) -> requests.Response:
    """Return the response. Raises RestApiError if it is an error."""
    if response.ok:
        return response
    request = response.request
    raise RestApiError(
        f"Airflow answered {response.status_code} to {request.method} {request.path_url}: {_detail(response)}"
    )


def _detail(response: requests.Response) -> str:
    """Return Airflow's message of an error response."""
    try:
        answer = response.json()
    except ValueError:
        return response.text.strip()[:300]
    detail = (answer.get("detail") or answer.get("title")) if isinstance(answer, dict) else answer
    return detail if isinstance(detail, str) else json.dumps(detail)
